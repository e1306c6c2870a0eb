"""Writes a run into a folder while it goes on, so that it can be read at any time."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxalign._core.jsonl import replace_lines, whole_lines
from jaxalign._core.npy import append_rows, keep_rows
from jaxalign.runs._folder import (
    CONFIG,
    RESULT,
    ROWS,
    delete_run,
    files_of_a_run,
    holds_a_run,
    measured_in,
    read_config,
    write_json,
)
from jaxalign.runs._history import History
from jaxalign.runs._layout import Layout, layout_from, layout_of
from jaxalign.runs._lock import FolderLock
from jaxalign.runs._place import local_folder, require_writable
from jaxalign.runs._read import read_history
from jaxalign.runs._rows import rows_of


class RunWriter:
    """Write a run into a folder, chunk by chunk: ``fit(..., callback=RunWriter(folder, c).write)``.

    config.json holds ``config`` and, under "measured", the layers, what each measure's numbers are
    and where: scalars in history.jsonl, {"step", "loss", metrics..., "layers": {layer: {measure:
    value}}}, a step that was not measured without "layers"; arrays in MEASURE.npy (measured rows,
    layers, models, axes of the measure), or, where layers differ in shape, MEASURE.LAYER.npy. All
    grow with each chunk. Of several models each value is a list of theirs. NaN is null. Nothing is
    written before the first chunk, so a run that fails to start leaves no trace.

    Two processes never write into one folder: the second one is refused, also where the first goes
    on with a run that is there. What a run to resume holds is read before anything is trained.

    Attributes:
      folder: the run folder.
      begun: whether anything was written.
      rows: how many rows there are, of a run to resume before the first chunk too.

    Args:
      folder: where to; made when needed, with its parents. On a file system of this machine.
      config: anything JSON can hold.
      overwrite: delete the files of the run that is there.
      resume: go on with the run that is there: the first chunk's first step says which of its rows
        stay. Where there is none yet, begin one.

    Raises:
      FileExistsError: the folder holds a run and neither is set, or files of a run's names and no
        run.
      BlockingIOError: another process writes into the folder.
      NotADirectoryError, PermissionError: the folder cannot be made, or written to.
      ValueError: both are set; a folder that is an address; a run to resume that is damaged, of
        another config (what it ran on, "environment" and "command", may differ), or of an older
        layout; on the first write, other measures than those of the run to resume, or rows that are
        missing before the first step.

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
        self.folder = local_folder(folder)
        self.begun = False
        self.rows = 0
        self._config = dict(config)
        self._overwrite = overwrite
        self._resume = resume and holds_a_run(self.folder)
        self._layout = Layout({}, {})
        self._size = 0
        self._lock: FolderLock | None = None
        require_writable(self.folder)
        if not self._resume:
            self._require_free()
        if holds_a_run(self.folder):
            self._lock = FolderLock(self.folder)
        if self._resume:
            self.rows = len(read_history(self.folder).step)
            saved = read_config(self.folder)
            _require_same_config(saved, self._config)
            self._layout = layout_from(measured_in(saved, self.folder))

    def write(self, part: History) -> None:
        """Append the rows of one chunk.

        Raises:
          OSError: a file cannot be written, or another process wrote into the folder.
        """
        if not self.begun:
            if self._resume:
                _require_same_measures(self._layout, layout_of(part))
                _keep_steps(self.folder, int(part.step[0]), self._layout)
            else:
                self._begin(part)
        elif (self.folder / ROWS).stat().st_size != self._size:
            raise OSError(
                f"{self.folder / ROWS} must have the {self._size} bytes that were written, found "
                f"{(self.folder / ROWS).stat().st_size}: another process writes into the folder"
            )
        if len(part.measured):
            for file, array in self._layout.arrays.items():
                each = [np.asarray(part.layers[layer][array.measure]) for layer in array.layers]
                rows = np.stack(each, axis=1) if array.stacked else each[0]
                append_rows(self.folder / file, rows.astype(array.stored))
        # The rows come last: whoever sees a row finds its arrays.
        with open(self.folder / ROWS, "a", encoding="utf-8") as stream:
            for row in rows_of(part, self._layout.scalars):
                stream.write(json.dumps(row, allow_nan=False) + "\n")
        self._size = (self.folder / ROWS).stat().st_size
        self.rows = int(part.step[-1]) + 1
        self.begun = True

    def finish(self, result: Mapping[str, Any]) -> None:
        """Read the run back, and write result.json: how it ended, and what was found on the way.

        Raises:
          ValueError: what is in the folder is not what was written.
        """
        found = len(read_history(self.folder).step)
        if found != self.rows:
            raise ValueError(
                f"{self.folder / ROWS} must hold the {self.rows} rows that were written, found "
                f"{found}; the run is not called finished"
            )
        write_json(self.folder / RESULT, result)
        if self._lock is not None:
            self._lock.release()

    def _begin(self, part: History) -> None:
        if part.step[0] != 0:
            raise ValueError(
                f"{self.folder} must hold the {part.step[0]} rows before step {part.step[0]} to go "
                "on from it, found no run; begin with other checkpoints, or resume the run's folder"
            )
        # Of two runs that begin at once, the second one stops here.
        self._require_free()
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._lock is None:
            self._lock = FolderLock(self.folder)
        self._require_free()
        if self._overwrite:
            delete_run(self.folder)
        self._layout = layout_of(part)
        foreign = [file for file in self._layout.arrays if (self.folder / file).exists()]
        if foreign:
            raise FileExistsError(
                f"out folder {self.folder} holds {', '.join(foreign)} of no run, which a run would "
                "replace; name another folder"
            )
        measured = {
            "layers": list(part.layers),
            "measures": list(dict.fromkeys(name for m in part.layers.values() for name in m)),
            "totals": dict(part.totals),
            "loss": part.loss.dtype.name,
            "metrics": {name: values.dtype.name for name, values in part.metrics.items()},
            "models": part.models,
            **self._layout.as_json(),
        }
        write_json(self.folder / CONFIG, {**self._config, "measured": measured})

    def _require_free(self) -> None:
        present = files_of_a_run(self.folder)
        if not present or (self._overwrite and holds_a_run(self.folder)):
            return
        listed = ", ".join(present)
        if holds_a_run(self.folder):
            raise FileExistsError(
                f"out folder {self.folder} already holds a run ({listed}); "
                "name another one, or replace it with overwrite (--overwrite)"
            )
        raise FileExistsError(
            f"out folder {self.folder} holds no run, but {listed}, "
            "which a run would replace; name another folder"
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
    lines = whole_lines(folder / ROWS) if (folder / ROWS).exists() else []
    if len(lines) < step:
        raise ValueError(
            f"{folder / ROWS} must hold the {step} rows before step {step} to go on from it, "
            f"found {len(lines)}"
        )
    rows = lines[:step]
    measured = sum("layers" in json.loads(row) for row in rows)
    (folder / RESULT).unlink(missing_ok=True)  # it is not finished any more
    # The rows first: whoever sees a row finds its arrays.
    replace_lines(folder / ROWS, rows)
    for file in layout.arrays:
        if measured:
            keep_rows(folder / file, measured)
        else:
            (folder / file).unlink(missing_ok=True)
