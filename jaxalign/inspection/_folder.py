"""An inspection on disk: config.json, layers.json (a few numbers a layer) and spectra.npz (spectra
and curves).
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxalign._spectrum.spectrum import Spectrum
from jaxalign.inspection._inspect import Inspection
from jaxalign.inspection._numbers import curves, numbers
from jaxalign.inspection._plan import LayerPlan

CONFIG, LAYERS, SPECTRA = "config.json", "layers.json", "spectra.npz"
FIGURES, PAGE, PICTURE = "figures", "index.html", "alignment_by_layer"
_FILES = (CONFIG, LAYERS, SPECTRA, PAGE, f"{FIGURES}/{PICTURE}.png")


@dataclass(frozen=True)
class Inspected:
    """What a folder holds.

    Attributes:
      inspection: the spectra.
      thresholds: (m,) τ of the numbers.
      config: config.json: title, subtitle, command, notes, and what belongs under "The run".
    """

    inspection: Inspection
    thresholds: tuple[float, ...]
    config: Mapping[str, Any]


def require_free(folder: str | Path, *, overwrite: bool) -> None:
    """Raise if an inspection would replace files of the folder, unless it may.

    Raises:
      FileExistsError: it would.
    """
    held = [name for name in (*_FILES, "history.jsonl") if (Path(folder) / name).exists()]
    if held and (not overwrite or LAYERS not in held):
        way = (
            "; name another one, or replace it with overwrite (--overwrite)"
            if LAYERS in held
            else ", no inspection; name another"
        )
        raise FileExistsError(f"out folder {folder} already holds {', '.join(held)}{way}")


def save(folder: str | Path, found: Inspected) -> None:
    """Write an inspection into a folder, made when needed: numbers last, which make it one.

    spectra.npz holds ``grid`` (g,), ``curve`` and ``null`` (layers, g), shares of ‖Y‖², and of
    every layer ``NAME/singular_values``, ``NAME/energy`` and ``NAME/total``.

    Example:
      >>> import tempfile
      >>> from collections import OrderedDict
      >>> import jaxalign as ja
      >>> from jaxalign.inspection import Inspected, Inspection, LayerPlan, read_inspection, save
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> layer = LayerPlan((1,), "float32", "mean", 1, 2)
      >>> made = Inspection(OrderedDict(a=s), OrderedDict(a=layer), {}, 3.0)
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save(folder, Inspected(made, (2.0,), {"title": "three rows"}))
      ...     read_inspection(folder).inspection.spectra["a"].total.tolist()
      [6.0]

    Source: ours.
    """
    folder, inspection = Path(folder), found.inspection
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LAYERS).unlink(missing_ok=True)
    _write(folder / CONFIG, found.config)
    grid = inspection.thresholds(256)
    drawn = list(curves(inspection, grid).values())
    spectra = {
        f"{name}/{part}": np.asarray(x)
        for name, s in inspection.spectra.items()
        for part, x in s._asdict().items()
    }
    both = {"curve": np.stack([c.curve for c in drawn]), "null": np.stack([c.null for c in drawn])}
    np.savez_compressed(folder / SPECTRA, allow_pickle=False, grid=grid, **both, **spectra)
    rows = [
        {
            "name": name,
            **inspection.layers[name]._asdict(),
            **{k: _plain(v) for k, v in row._asdict().items()},
        }
        for name, row in numbers(inspection, found.thresholds).items()
    ]
    held = {
        "samples": inspection.samples,
        "thresholds": found.thresholds,
        "layers": rows,
        "left_out": inspection.left_out,
    }
    _write(folder / LAYERS, held)


def read_inspection(folder: str | Path) -> Inspected:
    """Read what ``save`` wrote.

    Raises:
      FileNotFoundError: the folder holds no inspection.
    """
    folder = Path(folder)
    if not (folder / LAYERS).is_file():
        raise FileNotFoundError(f"{folder} holds no inspection: there is no {LAYERS} in it")
    held = json.loads((folder / LAYERS).read_text(encoding="utf-8"))
    layers: OrderedDict[str, LayerPlan] = OrderedDict()
    spectra: OrderedDict[str, Spectrum] = OrderedDict()
    with np.load(folder / SPECTRA, allow_pickle=False) as arrays:
        for row in held["layers"]:
            plan = {field: row[field] for field in LayerPlan._fields}
            layers[row["name"]] = LayerPlan(**{**plan, "shape": tuple(plan["shape"])})
            spectra[row["name"]] = Spectrum(
                *(jnp.asarray(arrays[f"{row['name']}/{part}"]) for part in Spectrum._fields)
            )
    inspection = Inspection(spectra, layers, held["left_out"], held["samples"])
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return Inspected(inspection, tuple(held["thresholds"]), config)


def _plain(value: Any) -> Any:
    """Floats with as few digits as tell float32 values apart."""
    if isinstance(value, np.ndarray):
        return [_plain(float(x)) for x in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
