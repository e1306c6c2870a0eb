"""An inspection on disk: config.json, layers.json (a few numbers per layer) and spectra.npz
(spectra and curves).
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxalign._spectrum.types import Spectrum
from jaxalign.inspection._inspect import Inspection
from jaxalign.inspection._numbers import LayerNumbers, curves, numbers
from jaxalign.inspection._plan import LayerPlan
from jaxalign.runs._folder import as_json, write_json
from jaxalign.runs._place import require_replaceable

CONFIG = "config.json"
LAYERS = "layers.json"
SPECTRA = "spectra.npz"
FIGURES = "figures"
PAGE = "index.html"
PICTURE = "alignment_by_layer"
LABELS_PICTURE = "labels_needed"
_PICTURES = tuple(f"{FIGURES}/{name}.png" for name in (PICTURE, LABELS_PICTURE))
_FILES = (CONFIG, LAYERS, SPECTRA, PAGE, *_PICTURES)
_OF_RUNS = "history.jsonl"
_MEASURED = "measured"
_ROW_FIELDS = {"name", *LayerPlan._fields, *LayerNumbers._fields}


@dataclass(frozen=True)
class Inspected:
    """What a folder holds.

    Attributes:
      inspection: the spectra and their nulls.
      thresholds: (m,) τ of the numbers.
      config: title, subtitle, command, notes, and what belongs under "The run".
    """

    inspection: Inspection
    thresholds: tuple[float, ...]
    config: Mapping[str, Any]


def require_free(folder: str | Path, *, overwrite: bool) -> None:
    """Raise if an inspection would replace files of the folder.

    With ``overwrite`` it may replace an inspection, and nothing else.

    Raises:
      FileExistsError: it would.
    """
    files = (*_FILES, _OF_RUNS)
    require_replaceable(folder, files, LAYERS, "inspection", overwrite=overwrite)


def save(folder: str | Path, inspected: Inspected) -> None:
    """Write an inspection into a folder, which is made when needed.

    config.json holds the config and, as ``measured``, the number of samples, whether features and
    targets are centred, and the reduction of each layer. layers.json holds the numbers of each
    layer. spectra.npz holds ``grid`` (g,), ``curve`` and ``null_curve`` (layers, g), which are
    shares of ‖Y‖², and for each layer the fields of its Spectrum, ``spectra/LAYER/FIELD``, and of
    the permutation null, ``nulls/LAYER/FIELD``.

    Args:
      folder: where to; what is there is written over.
      inspected: the inspection, its thresholds, and any config that JSON can hold.

    Raises:
      TypeError: a config that JSON cannot hold; thresholds that are no numbers. Nothing is written.

    Example:
      >>> import tempfile
      >>> from collections import OrderedDict
      >>> from jaxalign.alignment import spectrum_and_null
      >>> from jaxalign.inspection import Inspected, Inspection, LayerPlan, read_inspection, save
      >>> s, null = spectrum_and_null([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> layers = OrderedDict(a=LayerPlan((1,), "float32", "mean", 1, 2))
      >>> inspection = Inspection(OrderedDict(a=s), OrderedDict(a=null), layers, {}, 3.0)
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save(folder, Inspected(inspection, (2.0,), {"title": "three rows"}))
      ...     read_inspection(folder).inspection.spectra["a"].total.tolist()
      [6.0]

    Source: ours.
    """
    folder = Path(folder)
    inspection = inspected.inspection
    thresholds = [float(tau) for tau in inspected.thresholds]
    config = {**as_json(inspected.config), _MEASURED: _measured(inspection)}
    content = {
        "thresholds": thresholds,
        "layers": _rows(inspection, thresholds),
        "left_out": inspection.left_out,
    }
    folder.mkdir(parents=True, exist_ok=True)
    # layers.json makes a folder an inspection, so it is removed first and written last.
    (folder / LAYERS).unlink(missing_ok=True)
    write_json(folder / CONFIG, config)
    np.savez_compressed(folder / SPECTRA, allow_pickle=False, **_arrays(inspection))
    write_json(folder / LAYERS, content)


def read_inspection(folder: str | Path) -> Inspected:
    """Read what ``save`` wrote. Example: as ``save``.

    Args:
      folder: the one that ``save`` wrote.

    Returns:
      Inspected.

    Raises:
      FileNotFoundError: the folder holds no inspection.
      ValueError: the inspection is damaged, or was written by another version of jaxalign.

    Source: ours.
    """
    folder = Path(folder)
    if not (folder / LAYERS).is_file():
        raise FileNotFoundError(f"{folder} holds no inspection: there is no {LAYERS} in it")
    try:
        return _read(folder)
    # Anything: damaged archives and JSON of another kind fail in many ways.
    except Exception as error:
        raise ValueError(
            f"{folder} holds an inspection that is damaged or by another version of jaxalign "
            f"({error}); inspect the model again, with --overwrite"
        ) from None


def _read(folder: Path) -> Inspected:
    content = json.loads((folder / LAYERS).read_text(encoding="utf-8"))
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    _require_layout(content, config)
    measured = config.pop(_MEASURED)
    layers: OrderedDict[str, LayerPlan] = OrderedDict()
    for row in content["layers"]:
        plan = {field: row[field] for field in LayerPlan._fields}
        # JSON has lists only; a plan is compared with others and has to be hashable.
        plan["shape"] = tuple(plan["shape"])
        layers[row["name"]] = LayerPlan(**plan)
    # numpy leaves a file open that it opened and cannot read.
    with (folder / SPECTRA).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        spectra = OrderedDict((name, _spectrum(arrays, f"spectra/{name}")) for name in layers)
        nulls = OrderedDict((name, _spectrum(arrays, f"nulls/{name}")) for name in layers)
    inspection = Inspection(
        spectra,
        nulls,
        layers,
        content["left_out"],
        measured["num_samples"],
        centered=measured["centered"],
    )
    return Inspected(inspection, tuple(content["thresholds"]), config)


def _require_layout(content: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raise for a folder of another layout, naming what is missing or unknown in it."""
    differences = {_MEASURED} - set(config)
    for row in content.get("layers", []):
        differences |= _ROW_FIELDS ^ set(row)
    if differences:
        raise ValueError(f"it differs in {', '.join(sorted(differences))}")


def _measured(inspection: Inspection) -> dict[str, Any]:
    return {
        "num_samples": float(inspection.num_samples),
        "centered": bool(inspection.centered),
        "reduce": {name: layer.reduce for name, layer in inspection.layers.items()},
    }


def _rows(inspection: Inspection, thresholds: list[float]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            **inspection.layers[name]._asdict(),
            **{field: _plain(value) for field, value in row._asdict().items()},
        }
        for name, row in numbers(inspection, thresholds).items()
    ]


def _arrays(inspection: Inspection) -> dict[str, np.ndarray]:
    grid = inspection.thresholds(256)
    drawn = curves(inspection, grid).values()
    arrays = {
        "grid": grid,
        "curve": np.stack([layer.curve for layer in drawn]),
        "null_curve": np.stack([layer.null_curve for layer in drawn]),
    }
    for kind, spectra in (("spectra", inspection.spectra), ("nulls", inspection.nulls)):
        for name, spectrum in spectra.items():
            for field in fields(Spectrum):
                arrays[f"{kind}/{name}/{field.name}"] = np.asarray(getattr(spectrum, field.name))
    return arrays


def _spectrum(arrays: Mapping[str, np.ndarray], prefix: str) -> Spectrum:
    stored = {field.name: arrays[f"{prefix}/{field.name}"] for field in fields(Spectrum)}
    dtype = str(stored.pop("dtype"))
    return Spectrum(**{name: jnp.asarray(x) for name, x in stored.items()}, dtype=dtype)


def _plain(value: Any) -> Any:
    """JSON's types, and floats with as many digits as tell float32 values apart."""
    if isinstance(value, np.ndarray):
        return [_plain(float(x)) for x in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.7g}")
    return value
