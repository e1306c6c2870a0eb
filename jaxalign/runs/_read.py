"""A run folder as the History that it logged."""

from collections import OrderedDict
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from jaxalign._core.kinds import require_kind
from jaxalign.runs._folder import CONFIG, ROWS, measured_in, read_config
from jaxalign.runs._history import History
from jaxalign.runs._layout import ArrayFile, Layout, layout_from
from jaxalign.runs._rows import Columns, numbers, read_rows, scalars_of


def read_history(path: str | Path) -> History:
    """What a run logged, as numpy arrays, also while it runs or after it was cut off.

    Whole rows count; a torn last line does not.

    Args:
      path: the run folder.

    Returns:
      History, in the dtypes that were measured: the one ``fit`` returned.

    Raises:
      FileNotFoundError: the folder holds no run.
      ValueError: config.json is damaged, of an older layout or no run's; a damaged row that is not
        the last one, or rows that are not 0, 1, 2, ...; an array that is missing, cut or of another
        shape.

    Example:
      >>> import tempfile
      >>> import numpy as np
      >>> import optax
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.models import MLP
      >>> x = np.random.default_rng(0).standard_normal((80, 6)).astype(np.float32)
      >>> labels = (x[:, 0] > 0).astype(int)
      >>> model = MLP(6, (8,), 1, rngs=nnx.Rngs(0))
      >>> monitor = ja.monitor(ja.tap(model), x, ja.encode_targets(labels))
      >>> folder = tempfile.mkdtemp()
      >>> writer = ja.RunWriter(folder, {"note": "what this run was for"})
      >>> settings = {"steps": 9, "monitor": monitor, "callback": writer.write}
      >>> _ = ja.fit(model, optax.sgd(0.1), x, labels, **settings)
      >>> history = ja.read_history(folder)
      >>> history.loss.shape, list(history.layers), history.layers["hidden_1"]["curve"].shape
      ((10,), ['input', 'hidden_1', 'logits'], (10, 64))

    Source: ours.
    """
    require_kind(path, str | PathLike, "path", "pass the run folder")
    folder = Path(path)
    measured = measured_in(read_config(folder), folder)
    try:
        layout = layout_from(measured)
        columns = _columns(measured, layout)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{folder / CONFIG} does not say in full what was measured ({error!r}); restore it"
        ) from None
    rows = read_rows(folder / ROWS, columns)
    measured_rows = _measured_rows(rows, folder)
    models = () if columns.models is None else (columns.models,)

    def column(name: str, dtype: str) -> np.ndarray:
        return numbers([row[name] for row in rows], dtype).reshape(len(rows), *models)

    return History(
        step=np.array([row["step"] for row in rows], np.int32),
        measured=np.array([row["step"] for row in measured_rows], np.int32),
        loss=column("loss", measured["loss"]),
        metrics={name: column(name, dtype) for name, dtype in measured["metrics"].items()},
        layers=_layers(folder, measured, layout, measured_rows, models),
        coordinates=_coordinates(layout),
        totals=dict(measured["totals"]),
    )


def _columns(measured: Mapping[str, Any], layout: Layout) -> Columns:
    scalars = {
        layer: {name for name, column in layout.scalars.items() if layer in column.layers}
        for layer in measured["layers"]
    }
    names = {"step", "loss", *measured["metrics"]}
    dict(measured["totals"])
    return Columns(names, scalars, measured["models"])


def _measured_rows(rows: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """The rows with measures: all, or every k-th."""
    steps = [row["step"] for row in rows if "layers" in row]
    every = steps[1] if len(steps) > 1 else len(rows)
    if steps and steps != list(range(0, len(rows), every)):
        raise ValueError(
            f"{folder / ROWS} must have measures at every {every}-th step, found some missing: "
            "rows were damaged"
        )
    return [rows[step] for step in steps]


def _layers(
    folder: Path,
    measured: Mapping[str, Any],
    layout: Layout,
    rows: list[dict[str, Any]],
    models: tuple[int, ...],
) -> OrderedDict[str, OrderedDict[str, np.ndarray]]:
    """{layer: {measure: (r, ...)}}, measures in the order in which they were named."""
    layers: OrderedDict[str, OrderedDict[str, np.ndarray]] = OrderedDict()
    for name in measured["layers"]:
        layers[name] = scalars_of(rows, name, layout.scalars, models)
    for file, array in layout.arrays.items():
        if not rows:  # nothing was measured yet
            continue
        values = _array(folder / file, array, len(rows))
        for i, name in enumerate(array.layers):
            own = values[:, i] if array.stacked else values
            layers[name][array.measure] = np.array(own, array.dtype)
    order = list(dict.fromkeys(measured.get("measures", ())))
    for name, logged in layers.items():
        known = [measure for measure in order if measure in logged]
        layers[name] = OrderedDict((measure, logged[measure]) for measure in known or logged)
    return layers


def _array(file: Path, array: ArrayFile, count: int) -> np.ndarray:
    """The first rows of a file.

    Raises:
      ValueError: it is missing, cut, or not as config.json says.
    """
    try:
        values = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{file} must hold {count} rows, and cannot be read ({error})") from None
    layers = len(array.layers) if array.stacked else None
    if (
        values.ndim != len(array.dimensions)
        or values.dtype != array.stored
        or (layers is not None and values.shape[1] != layers)
    ):
        raise ValueError(
            f"{file} must hold {array.dtype} with axes {', '.join(array.dimensions)} as {CONFIG} "
            f"says, found {values.dtype} of shape {values.shape}"
        )
    if len(values) < count:
        raise ValueError(f"{file} must hold {count} rows, found {len(values)}: it was cut")
    return values[:count]


def _coordinates(layout: Layout) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    coordinates: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for array in layout.arrays.values():
        if array.coordinates:
            axes = {axis: np.asarray(values) for axis, values in array.coordinates.items()}
            for layer in array.layers:
                coordinates.setdefault(layer, {})[array.measure] = axes
    return coordinates
