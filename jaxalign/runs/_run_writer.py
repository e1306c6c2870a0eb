"""Writes a run into a folder while it goes on, so that it can be read at any time."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from jaxalign._core.npy import append_rows, keep_rows
from jaxalign.runs._folder import (
    CONFIG,
    MEASURED,
    RESULT,
    ROWS,
    as_json,
    delete_run,
    files_of_a_run,
    holds_a_run,
    measured_in,
    read_config,
    write_json,
)
from jaxalign.runs._history import History
from jaxalign.runs._layout import Layout, layout_from, layout_of, require_storable
from jaxalign.runs._lock import FolderLock
from jaxalign.runs._place import local_folder, require_writable
from jaxalign.runs._read import read_history
from jaxalign.runs._rows import cut_rows, rows_of
from jaxalign.runs._storage import Storage, checked_storage


class RunWriter:
    """Write a run into a folder, chunk by chunk: ``fit(..., callback=RunWriter(folder, c).write)``.

    history.jsonl holds {"step", "loss", metrics..., "measured": true} of every step, the last one
    only where layers were measured. Every measure is a MEASURE.npy (measured rows, layers, models,
    axes of the measure) or, where layers differ in shape, a MEASURE.LAYER.npy. config.json holds
    ``config`` and, under "measured", the layers and what is in which file. All grow with each
    chunk. Of several models each value of a row is a list of theirs. NaN is null. Nothing is
    written before the first chunk, so a run that fails to start leaves no trace.

    Two processes never write into one folder: the second one is refused, also where the first goes
    on with a run that is there. What a run to resume holds is read before anything is trained.

    Attributes:
      folder: the run folder.
      begun: whether anything was written.
      rows: how many rows there are, of a run to resume before the first chunk too.

    Args:
      folder: where to; made when needed, with its parents. On a file system of this machine.
      config: a dict of anything JSON can hold.
      overwrite: delete the files of the run that is there.
      resume: go on with the run that is there: the first chunk's first step says which of its rows
        stay. Where there is none yet, begin one.
      array_dtype: keep arrays, as curves, in "float16" (up to 65504), "bfloat16" or "float32";
        numbers, as areas, are kept as they were measured. None keeps both so.
      array_every: k, to keep the arrays of the first, the k-th, the 2k-th, ... measured row only.

    Raises:
      FileExistsError: the folder holds a run and neither is set, or files of a run's names and no
        run.
      BlockingIOError: another process writes into the folder.
      TypeError: a config that is not a dict, or holds what JSON cannot.
      NotADirectoryError, PermissionError: the folder cannot be made, or written to.
      ValueError: both are set; a config with "measured"; a folder that is an address; a run to
        resume that is damaged, of another config (what it ran on, "environment" and "command", may
        differ), array_dtype or array_every, or of an older layout; an array_dtype that is none of
        these, or array_every below 1; on the first write, other measures than those of the run to
        resume, or rows that are missing before the first step.

    Source: ours.
    """

    def __init__(
        self,
        folder: str | Path,
        config: Mapping[str, Any],
        *,
        overwrite: bool = False,
        resume: bool = False,
        array_dtype: DTypeLike | None = None,
        array_every: int = 1,
    ):
        if overwrite and resume:
            raise ValueError(
                "overwrite deletes the run that resume would go on with; set one of them"
            )
        self.folder = local_folder(folder)
        self.begun = False
        self.rows = 0
        self._config = as_json(config)
        self._overwrite = overwrite
        self._resume = resume and holds_a_run(self.folder)
        if MEASURED in self._config and not self._resume:
            raise ValueError(
                f"config must not hold {MEASURED!r}, under which the writer says what is in which "
                "file; give it another name"
            )
        self._storage = checked_storage(array_dtype, array_every)
        self._layout: Layout = {}
        self._measured = 0
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
            measured = measured_in(saved, self.folder)
            _require_same_storage(measured, self._storage)
            self._layout = layout_from(measured)

    def write(self, part: History) -> None:
        """Append the rows of one chunk.

        Raises:
          OSError: a file cannot be written, or another process wrote into the folder.
          ValueError: a number beyond ``array_dtype``; a part without some of its arrays, or that is
            not the next one, as of a second run.
        """
        try:
            self._write(part)
        except OSError as error:
            # A full disk is told without the name of a file.
            if error.errno is None or error.filename is not None:
                raise
            raise OSError(
                f"rows of step {part.step[0]} and after cannot be written into {self.folder} "
                f"({error}); fix that, as by making room, and resume: those before are whole"
            ) from error

    def _write(self, part: History) -> None:
        if not len(part.step):
            return
        if part.array_steps is not None:
            raise ValueError(
                "part must have the arrays of all its measured rows, found those of some; "
                "copy the run's folder to have it twice"
            )
        self._require_next(part)
        if not self.begun:
            if self._resume:
                self._go_on(part)
            else:
                self._begin(part)
        elif (self.folder / ROWS).stat().st_size != self._size:
            raise OSError(
                f"{self.folder / ROWS} must have the {self._size} bytes that were written, found "
                f"{(self.folder / ROWS).stat().st_size}: another process writes into the folder"
            )
        if len(part.measured):
            arrays = {
                file: array.rows_of(part, self._measured) for file, array in self._layout.items()
            }
            for file, rows in arrays.items():
                append_rows(self.folder / file, rows)
        # The rows come last: whoever sees a row finds its arrays.
        with open(self.folder / ROWS, "a", encoding="utf-8") as stream:
            for row in rows_of(part):
                stream.write(json.dumps(row, allow_nan=False) + "\n")
        self._size = (self.folder / ROWS).stat().st_size
        self._measured += len(part.measured)
        self.rows = int(part.step[-1]) + 1
        self.begun = True

    def _require_next(self, part: History) -> None:
        """Raise unless a part has the rows that come next, all of them."""
        first = self.rows if self.begun else int(part.step[0])
        if np.array_equal(part.step, np.arange(first, first + len(part.step))):
            return
        raise ValueError(
            f"part must have all steps from {first} on, where the rows before it end, found "
            f"{len(part.step)} from {part.step[0]} to {part.step[-1]}; give a second run a writer "
            "and a folder of its own, or go on with checkpoints and resume=True"
        )

    def finish(self, result: Mapping[str, Any]) -> None:
        """Read the run back, and write result.json: how it ended, and what was found on the way.

        Raises:
          ValueError: what is in the folder is not what was written.
        """
        rows = len(read_history(self.folder).step)
        if rows != self.rows:
            raise ValueError(
                f"{self.folder / ROWS} must hold the {self.rows} rows that were written, found "
                f"{rows}; the run is not called finished"
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
        self._layout = layout_of(part, self._storage)
        require_storable(self._layout, part)
        # Of two runs that begin at once, the second one stops here.
        self._require_free()
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._lock is None:
            self._lock = FolderLock(self.folder)
        self._require_free()
        if self._overwrite:
            delete_run(self.folder)
        foreign = [file for file in self._layout if (self.folder / file).exists()]
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
            **{f"array_{name}": value for name, value in self._storage._asdict().items()},
            "arrays": {file: array._asdict() for file, array in self._layout.items()},
        }
        write_json(self.folder / CONFIG, {**self._config, MEASURED: measured})

    def _go_on(self, part: History) -> None:
        """Keep what was logged before the first step of a part, and nothing else."""
        _require_same_measures(self._layout, layout_of(part, self._storage))
        (self.folder / RESULT).unlink(missing_ok=True)  # it is not finished any more
        # The rows first: whoever sees a row finds its arrays.
        self._measured = cut_rows(self.folder / ROWS, int(part.step[0]))
        for file, array in self._layout.items():
            if self._measured:
                keep_rows(self.folder / file, array.rows_before(self._measured))
            else:
                (self.folder / file).unlink(missing_ok=True)

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
    may_differ = {"environment", "command", MEASURED}
    names = {*saved, *config} - may_differ
    # As text, in which NaN is equal to itself.
    before, now = (
        {name: json.dumps(content.get(name), sort_keys=True) for name in names}
        for content in (saved, config)
    )
    differing = sorted(name for name in names if before[name] != now[name])
    if differing:
        first = differing[0]
        raise ValueError(
            f"the run to resume has another config: {', '.join(differing)} differ; "
            f"{first} was {saved.get(first)!r}, now {config.get(first)!r}"
        )


def _require_same_storage(saved: Mapping[str, Any], storage: Storage) -> None:
    before = {name: saved[f"array_{name}"] for name in Storage._fields}
    if before != storage._asdict():
        raise ValueError(
            f"the run to resume was begun with array_dtype={before['dtype']!r} and "
            f"array_every={before['every']}, found {storage.dtype!r} and {storage.every}; "
            "pass what it was begun with"
        )


def _require_same_measures(before: Layout, now: Layout) -> None:
    differing = sorted(name for name in before | now if before.get(name) != now.get(name))
    if differing:
        raise ValueError(
            f"the run to resume logged other measures or layers: {', '.join(differing)} differ; "
            "pass the monitor that it had"
        )
