"""A run folder as the History that it logged."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from jaxalign._core.kinds import require_kind
from jaxalign.runs._folder import CONFIG, ROWS, measured_in, read_config
from jaxalign.runs._history import History
from jaxalign.runs._layout import ArrayFile, Layout, layout_from
from jaxalign.runs._rows import read_rows


def read_history(path: str | Path, *, steps: slice | range | None = None) -> History:
    """What a run logged, as numpy arrays, also while it runs or after it was cut off.

    Whole rows count; a torn last line does not. Measures are mapped from their files, read-only:
    what is indexed of them is read, and nothing before.

    Args:
      path: the run folder.
      steps: which of them, as ``slice(5000, 6000)``, ``slice(-100, None)`` for the last hundred, or
        ``range(0, 10**6, 1000)``; what is past the last row is left out. All by default.

    Returns:
      History: the one ``fit`` returned, or of an array what the writer was asked to keep.

    Raises:
      FileNotFoundError: the folder holds no run.
      ValueError: config.json is damaged, of an older layout or no run's; a damaged row that is not
        the last one, or rows that are not 0, 1, 2, ...; an array that is missing, cut or of another
        shape; steps that go down.
      TypeError: steps that are not a slice or a range.

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
      >>> ja.read_history(folder, steps=slice(-3, None)).step.tolist()
      [7, 8, 9]

    Source: ours.
    """
    require_kind(path, str | PathLike, "path", "pass the run folder")
    chosen = _as_slice(steps)
    folder = Path(path)
    measured = measured_in(read_config(folder), folder)
    try:
        layout = layout_from(measured)
        dtypes = {"loss": measured["loss"], **measured["metrics"]}
        totals = dict(measured["totals"])
        order = [*measured["layers"]], [*measured["measures"]]
        every, _ = measured["array_every"], measured["array_dtype"]
        rows = read_rows(folder / ROWS, dtypes, measured["models"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{folder / CONFIG} does not say in full what was measured ({error!r}); restore it"
        ) from None
    step = np.arange(len(rows.columns["loss"]), dtype=np.int32)[chosen]
    columns = {name: values[chosen] for name, values in rows.columns.items()}
    places = np.flatnonzero(np.isin(rows.measured, step))
    array_steps = None
    if every > 1:
        array_steps = rows.measured[places[places % every == 0]]
    measures = _mapped(folder, layout, len(rows.measured))
    return History(
        step=step,
        measured=rows.measured[places],
        loss=columns.pop("loss"),
        metrics=columns,
        layers=_layers(measures, layout, places, *order),
        coordinates=_coordinates(layout),
        totals=totals,
        array_steps=array_steps,
    )


def _as_slice(steps: slice | range | None) -> slice:
    """The steps as a slice of all rows."""
    if steps is None:
        return slice(None)
    require_kind(steps, slice | range, "steps", "pass slice(first, last + 1)")
    chosen = slice(steps.start, steps.stop, steps.step)
    try:
        goes_up = chosen.indices(1)[2] > 0
    except (TypeError, ValueError):  # no whole numbers, or every 0-th
        goes_up = False
    if isinstance(steps, range) and min(steps.start, steps.stop) < 0:
        goes_up = False  # there are no steps before 0; slices count from the end
    if not goes_up:
        raise ValueError(
            f"steps must go up in whole numbers, found {steps}; pass slice(first, last + 1)"
        )
    return chosen


def _mapped(folder: Path, layout: Layout, measured: int) -> dict[str, np.ndarray]:
    """{file: its rows}, none before anything was measured."""
    if not measured:
        return {}
    return {
        file: _array(folder / file, array, array.rows_before(measured))
        for file, array in layout.items()
    }


def _layers(
    files: Mapping[str, np.ndarray],
    layout: Layout,
    places: np.ndarray,
    layers: Sequence[str],
    measures: Sequence[str],
) -> OrderedDict[str, OrderedDict[str, np.ndarray]]:
    """{layer: {measure: (r, ...)}}, of the measured rows with these numbers."""
    found: dict[str, dict[str, np.ndarray]] = {layer: {} for layer in layers}
    for file, values in files.items():
        array = layout[file]
        own = values[_rows(places, array.every)]
        for i, layer in enumerate(array.layers):
            found[layer][array.measure] = own[:, i] if array.stacked else own
    # In the order in which they were named.
    return OrderedDict(
        (layer, OrderedDict((name, logged[name]) for name in measures if name in logged))
        for layer, logged in found.items()
    )


def _rows(places: np.ndarray, every: int) -> slice:
    """The rows of a file that has every k-th measured row. Both are evenly spaced, so that a slice
    says it, which reads nothing.
    """
    rows = places[places % every == 0] // every
    if len(rows) == 0:
        return slice(0)
    stride = int(rows[1] - rows[0]) if len(rows) > 1 else 1
    return slice(int(rows[0]), int(rows[-1]) + 1, stride)


def _array(file: Path, array: ArrayFile, count: int) -> np.ndarray:
    """The first rows of a file, mapped.

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
    return np.asarray(values)[:count].view(array.dtype)


def _coordinates(layout: Layout) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    coordinates: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for array in layout.values():
        if array.coordinates:
            axes = {axis: np.asarray(values) for axis, values in array.coordinates.items()}
            for layer in array.layers:
                coordinates.setdefault(layer, {})[array.measure] = axes
    return coordinates
