"""A run on disk, readable while it runs: config.json, history.jsonl (a row per step), and a .npy
file per measure that is no scalar.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxalign._core.jsonl import replace_lines, whole_lines
from jaxalign._core.npy import append_rows, keep_rows
from jaxalign.runs._history import History
from jaxalign.runs._layout import Layout, layout_from, layout_of
from jaxalign.runs._rows import rows_of

CONFIG = "config.json"
ROWS = "history.jsonl"
RESULT = "result.json"
FIGURES = "figures"
PAGE = "index.html"


class RunWriter:
    """Write a run into a folder, chunk by chunk: ``fit(..., callback=RunWriter(folder, c).write)``.

    config.json holds ``config`` and, under "measured", the layers, what each measure's numbers are
    and where: scalars in history.jsonl, {"step", "loss", metrics..., "layers": {layer: {measure:
    value}}}, a step that was not measured without "layers"; arrays in MEASURE.npy (measured rows,
    layers, models, axes of the measure), or, where layers differ in shape, MEASURE.LAYER.npy. All
    grow with each chunk. Of several models each value is a list of theirs. NaN is null. Nothing is
    written before the first chunk, so a run that fails to start leaves no trace.

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
        "command", may differ), or of an older layout; on the first write, other measures than
        those of the run to resume, or rows that are missing before the first step.

    Source: ours.
    """

    def __init__(
        self,
        folder: str | Path,
        config: Mapping[str, Any],
        *,
        overwrite: bool = False,
        resume: bool = False,
    ):
        if overwrite and resume:
            raise ValueError(
                "overwrite deletes the run that resume would go on with; set one of them"
            )
        self.folder = Path(folder)
        self.begun = False
        self._config = dict(config)
        self._overwrite = overwrite
        self._layout = Layout({}, {})
        _require_place(self.folder)
        present = _files_of_a_run(self.folder)
        self._resume = resume and CONFIG in present and ROWS in present
        if self._resume:
            saved = read_config(self.folder)
            _require_same_config(saved, self._config)
            self._layout = layout_from(measured_in(saved, self.folder))
            return
        if ROWS in present and not overwrite:
            raise FileExistsError(
                f"out folder {self.folder} already holds a run ({', '.join(present)}); "
                "name another one, or replace it with overwrite (--overwrite)"
            )
        if present and ROWS not in present:
            raise FileExistsError(
                f"out folder {self.folder} holds no run, but {', '.join(present)}, "
                "which a run would replace; name another folder"
            )

    def write(self, part: History) -> None:
        """Append the rows of one chunk."""
        if not self.begun:
            if self._resume:
                _require_same_measures(self._layout, layout_of(part))
                _keep_steps(self.folder, int(part.step[0]), self._layout)
            else:
                self._begin(part)
        if len(part.measured):
            for file, array in self._layout.arrays.items():
                each = [np.asarray(part.layers[layer][array.measure]) for layer in array.layers]
                rows = np.stack(each, axis=1) if array.stacked else each[0]
                append_rows(self.folder / file, rows.astype(array.stored))
        # The rows come last: whoever sees a row finds its arrays.
        with open(self.folder / ROWS, "a", encoding="utf-8") as stream:
            for row in rows_of(part, self._layout.scalars):
                stream.write(json.dumps(row, allow_nan=False) + "\n")
        self.begun = True

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write result.json: how the run ended, and what was found on the way."""
        _write_json(self.folder / RESULT, result)

    def _begin(self, part: History) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._overwrite:
            _delete_run(self.folder)
        self._layout = layout_of(part)
        measured = {
            "layers": list(part.layers),
            "measures": list(dict.fromkeys(name for m in part.layers.values() for name in m)),
            "totals": dict(part.totals),
            "loss": part.loss.dtype.name,
            "metrics": {name: values.dtype.name for name, values in part.metrics.items()},
            "models": part.models,
            **self._layout.as_json(),
        }
        # Of two runs that begin at once, the second one stops here.
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


def measured_in(config: Mapping[str, Any], path: str | Path) -> Mapping[str, Any]:
    """What config.json says was measured.

    Raises:
      ValueError: the run has an older layout, or config.json is no run's.
    """
    measured = config.get("measured")
    if not isinstance(measured, Mapping):
        raise ValueError(f"{path} holds no run: its {CONFIG} does not say what was measured")
    if "arrays" not in measured or "scalars" not in measured:
        raise ValueError(
            f"{path} holds a run of an older layout, whose {CONFIG} names no files of measures; "
            "train it again, or read it with the version that wrote it"
        )
    return measured


def _files_of_a_run(folder: Path) -> list[str]:
    """The files in a folder that a run would write, in the order in which they are listed."""
    names = [CONFIG, ROWS, *_array_files(folder), RESULT, PAGE]
    names += [f"{FIGURES}/{file.name}" for file in sorted((folder / FIGURES).glob("*.png"))]
    return [name for name in names if (folder / name).exists()]


def _array_files(folder: Path) -> list[str]:
    """The .npy files that the config of a run names, of this layout or an older one."""
    try:
        measured = read_config(folder)["measured"]
    except (OSError, ValueError, KeyError):
        return []
    return list(measured.get("arrays", ("curves.npy", "null.npy")))


def _require_place(folder: Path) -> None:
    """Before hours of training, rather than after its first chunk."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(
            f"out folder {folder} cannot be made: {nearest} is a file; name another one"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(
            f"out folder {folder} cannot be written: {nearest} is read-only; name another one"
        )


def _require_same_config(saved: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    config = json.loads(json.dumps(config))
    may_differ = {"environment", "command", "measured"}
    names = {*saved, *config} - may_differ
    differing = sorted(name for name in names if saved.get(name) != config.get(name))
    if differing:
        first = differing[0]
        raise ValueError(
            f"the run to resume has another config: {', '.join(differing)} differ; "
            f"{first} was {saved.get(first)!r}, now {config.get(first)!r}"
        )


def _require_same_measures(saved: Layout, layout: Layout) -> None:
    before = saved.scalars | saved.arrays
    now = layout.scalars | layout.arrays
    differing = sorted(name for name in before | now if before.get(name) != now.get(name))
    if differing:
        raise ValueError(
            f"the run to resume logged other measures or layers: {', '.join(differing)} differ; "
            "pass the monitor that it had"
        )


def _keep_steps(folder: Path, step: int, layout: Layout) -> None:
    """Keep what a run logged before a step, and nothing else."""
    lines = whole_lines(folder / ROWS)
    if len(lines) < step:
        raise ValueError(
            f"{folder / ROWS} must hold the {step} rows before step {step} to go on from it, "
            f"found {len(lines)}"
        )
    rows = lines[:step]
    measured = sum("layers" in json.loads(row) for row in rows)
    for file in layout.arrays:
        if (folder / file).exists():
            keep_rows(folder / file, measured)
    replace_lines(folder / ROWS, rows)


def _delete_run(folder: Path) -> None:
    """Delete the files of a run and nothing else that may be in the folder; its rows last, which
    make it a run.
    """
    for name in sorted(_files_of_a_run(folder), key=ROWS.__eq__):
        (folder / name).unlink(missing_ok=True)


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
