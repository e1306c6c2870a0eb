"""A run on disk: config.json, history.jsonl (a row a step) and the curves as two plain arrays,
readable while it runs.
"""

import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxalign._core.npy import append_rows, keep_rows
from jaxalign.runs._history import History
from jaxalign._core.jsonl import json_lines, replace_lines, whole_lines
from jaxalign.monitoring import Record

CONFIG, ROWS, CURVES, NULL, RESULT = "config.json", "history.jsonl", "curves.npy", "null.npy", "result.json"
FIGURES, PAGE = "figures", "index.html"
PICTURES = ("alignment_by_step", "curve_by_layer", "threshold_heat_map")
_FILES = (CONFIG, ROWS, CURVES, NULL, RESULT, PAGE, *(f"{FIGURES}/{name}.png" for name in PICTURES))


class RunWriter:
    """Writes a run into a folder, chunk by chunk: ``fit(..., callback=RunWriter(folder,
    config).write)``.

    config.json holds ``config`` and, under "measured", the layers, thresholds, grid and ‖y‖².
    history.jsonl has one JSON object a step, {"step", "loss", metrics..., "layers": {name: {"area",
    "alignment"}}}, flushed after each chunk, with NaN spelt as Python's json spells it; a step that
    was not measured has no "layers". curves.npy and null.npy are float32 (measured rows, layers,
    grid) and grow with them. Of several models each value is a list of theirs, and the curves are
    (measured rows, layers, models, grid). Nothing is written before the first chunk, so a run that
    fails to start leaves no trace.

    Attributes:
      folder: the run folder.
      begun: whether anything was written.

    Args:
      folder: where to; made when needed, with its parents.
      config: anything JSON can hold.
      overwrite: delete the files of the run that is there.
      resume: go on with the run that is there: the first chunk's first step says which of its rows
        stay. Where there is none yet, begin one.

    Raises:
      FileExistsError: the folder holds a run and neither is set, or files of a run's names and no
        run.
      NotADirectoryError, PermissionError: the folder cannot be made, or written to.
      ValueError: both are set; a run to resume of another config (what it ran on, "environment" and
        "command", may differ); on the first write, rows that are missing before its first step.

    Source: ours.
    """

    def __init__(self, folder: str | Path, config: Mapping[str, Any], *, overwrite: bool = False, resume: bool = False):
        if overwrite and resume:
            raise ValueError("overwrite deletes the run that resume would go on with; set one of them")
        self.folder, self.begun = Path(folder), False
        self._config, self._overwrite = dict(config), overwrite
        _require_place(self.folder)
        held = [name for name in _FILES if (self.folder / name).exists()]
        self._resume = resume and CONFIG in held and ROWS in held
        if self._resume:
            _require_same_config(read_config(self.folder), self._config)
            return
        if ROWS in held and not overwrite:
            raise FileExistsError(
                f"out folder {self.folder} already holds a run ({', '.join(held)}); "
                "name another one, or replace it with overwrite (--overwrite)"
            )
        if held and ROWS not in held:
            raise FileExistsError(
                f"out folder {self.folder} holds no run, but {', '.join(held)}, which a run would replace; name another folder"
            )

    def write(self, part: History) -> None:
        """Append the rows of one chunk."""
        if not self.begun:
            _keep_steps(self.folder, int(part.step[0])) if self._resume else self._begin(part)
        for name, field in ((CURVES, "curve"), (NULL, "null")) if len(part.measured) else ():
            by_layer = [np.asarray(getattr(record, field)) for record in part.layers.values()]
            append_rows(self.folder / name, np.stack(by_layer, axis=1))
        # The rows come last: whoever sees a row finds its curves.
        with open(self.folder / ROWS, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in _rows(part))
        self.begun = True

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write result.json: how the run ended, and what was found on the way."""
        _write_json(self.folder / RESULT, result)

    def _begin(self, part: History) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._overwrite:
            _delete_run(self.folder)
        measured = {
            "layers": list(part.layers),
            "thresholds": part.thresholds.tolist(),
            "grid": part.grid.tolist(),
            "total": part.total,
            "metrics": list(part.metrics),
            "models": part.models,
        }
        # two runs at once: the second one stops here
        with open(self.folder / ROWS, "x", encoding="utf-8"):
            pass
        _write_json(self.folder / CONFIG, {**self._config, "measured": measured})


def read_config(path: str | Path) -> dict[str, Any]:
    """config.json of a run folder, as written by ``RunWriter``.

    Raises:
      FileNotFoundError: the folder holds no run.
    """
    file = Path(path) / CONFIG
    if not file.is_file():
        raise FileNotFoundError(f"{path} holds no run: there is no {CONFIG} in it")
    return json.loads(file.read_text(encoding="utf-8"))


def read_result(path: str | Path) -> dict[str, Any]:
    """result.json of a run folder; empty while the run goes on, or if it was killed."""
    file = Path(path) / RESULT
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def read_history(path: str | Path) -> History:
    """What a run logged, as numpy arrays, also while it runs or after it was cut off: whole rows
    count, a torn last line does not.

    Args:
      path: the run folder.

    Returns:
      History, float32 as measured: the one ``fit`` returned.

    Raises:
      FileNotFoundError: the folder holds no run.
      ValueError: a damaged row that is not the last one, or rows that are not 0, 1, 2, ...

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
      >>> watch = ja.monitor(ja.tap(model), x, ja.encode_targets(labels))
      >>> folder = tempfile.mkdtemp()
      >>> writer = ja.RunWriter(folder, {"note": "what this run was for"})
      >>> _ = ja.fit(model, optax.sgd(0.1), x, labels, steps=9, monitor=watch, callback=writer.write)
      >>> history = ja.read_history(folder)
      >>> history.loss.shape, list(history.layers), history.layers["hidden_1"].curve.shape
      ((10,), ['input', 'hidden_1', 'logits'], (10, 64))

    Source: ours.
    """
    folder = Path(path)
    measured = read_config(folder)["measured"]
    rows = _read_rows(folder / ROWS)
    layers = measured["layers"]
    with_records = [row for row in rows if layers and "layers" in row]
    count, models = len(with_records), () if measured.get("models") is None else (measured["models"],)
    records = OrderedDict()
    for i, layer in enumerate(layers):
        found = [row["layers"][layer] for row in with_records]
        alignment = _floats([f["alignment"] for f in found]).reshape(count, *models, len(measured["thresholds"]))
        curve, null = (np.array(np.load(folder / name, mmap_mode="r")[:count, i]) for name in (CURVES, NULL))
        records[layer] = Record(_floats([f["area"] for f in found]).reshape(count, *models), alignment, curve, null)
    return History(
        step=np.array([row["step"] for row in rows], np.int32),
        measured=np.array([row["step"] for row in with_records], np.int32),
        loss=_floats([row["loss"] for row in rows]).reshape(len(rows), *models),
        metrics={name: _floats([row[name] for row in rows]).reshape(len(rows), *models) for name in measured["metrics"]},
        layers=records,
        thresholds=_floats(measured["thresholds"]),
        grid=_floats(measured["grid"]),
        total=measured["total"],
    )


def _rows(part: History):
    place = {int(step): i for i, step in enumerate(part.measured)}
    for t, step in enumerate(part.step.tolist()):
        row = {
            "step": step,
            "loss": _shortest(part.loss[t]),
            **{name: _shortest(values[t]) for name, values in part.metrics.items()},
        }
        if step in place or not part.layers:
            row["layers"] = {name: _entry(record, place[step]) for name, record in part.layers.items()}
        yield row


def _entry(record: Record, i: int) -> dict[str, Any]:
    return {"area": _shortest(record.area[i]), "alignment": _shortest(record.alignment[i])}


def _shortest(values: Any) -> Any:
    """Floats, nested as they are, that print with as few digits as tell each from its neighbours in
    its own dtype.
    """
    return [_shortest(v) for v in values] if np.ndim(values) else float(str(values))


def _read_rows(file: Path) -> list[dict[str, Any]]:
    rows = []
    for number, row in enumerate(json_lines(file, "the rows before it are whole")):
        if row["step"] != number:
            raise ValueError(f"line {number + 1} of {file} must be step {number}, found {row['step']}: rows were lost or mixed")
        rows.append(row)
    return rows


def _require_place(folder: Path) -> None:
    """Before hours of training, rather than after its first chunk."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"out folder {folder} cannot be made: {there} is a file; name another one")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"out folder {folder} cannot be written: {there} is read-only; name another one")


def _require_same_config(saved: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    config = json.loads(json.dumps(config))
    same_anyway = {"environment", "command", "measured"}
    differing = sorted(k for k in {*saved, *config} - same_anyway if saved.get(k) != config.get(k))
    if differing:
        first = differing[0]
        raise ValueError(
            f"the run to resume has another config: {', '.join(differing)} differ; {first} was {saved.get(first)!r}, "
            f"now {config.get(first)!r}"
        )


def _keep_steps(folder: Path, step: int) -> None:
    """Keep what a run logged before a step, and nothing else."""
    lines = whole_lines(folder / ROWS)
    if len(lines) < step:
        raise ValueError(f"{folder / ROWS} must hold the {step} rows before step {step} to go on from it, found {len(lines)}")
    kept = lines[:step]
    measured = sum('"layers": {"' in line for line in kept)
    for name in (CURVES, NULL):
        if (folder / name).exists():
            keep_rows(folder / name, measured)
    replace_lines(folder / ROWS, kept)


def _floats(values) -> np.ndarray:
    return np.array(values, np.float32)


def _delete_run(folder: Path) -> None:
    """Delete the files of a run and nothing else that may be in the folder; its rows last, which
    make it a run.
    """
    for name in sorted(_FILES, key=ROWS.__eq__):
        (folder / name).unlink(missing_ok=True)


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
