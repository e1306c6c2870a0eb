"""Runs a study into a folder, one cell at a time, and resumes an interrupted run.

The finished cells are the lines of `cells.jsonl`.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxalign._core.jsonl import json_lines, replace_lines
from jaxalign.studies.framework.results import (
    BESIDE,
    CELLS,
    TABLE,
    Finished,
    write_figures,
    write_result,
)
from jaxalign.studies.framework.study import Cell, Size, Study
from jaxalign.studies.framework.table import table_of, write_table
from jaxalign.studies.framework.verdict import Verdict

if TYPE_CHECKING:
    from pandas import DataFrame

Progress = Callable[[int, int, Cell], None]
Entries = dict[str, dict[str, Any]]
"""Key of a cell → its line in cells.jsonl: "cell", "rows", "seconds" and "environment"."""


class Result(NamedTuple):
    """A finished study.

    Attributes:
      verdict: its conclusion.
      table: the rows of all cells.
      seconds: the time spent on measuring all cells.
    """

    verdict: Verdict
    table: "DataFrame"
    seconds: float


def no_progress(done: int, cells: int, cell: Cell) -> None:
    """Report nothing."""


def run(
    study: Study[Any],
    size: Size,
    folder: str | Path,
    *,
    environment: Mapping[str, Any],
    command: str | None = None,
    progress: Progress = no_progress,
) -> Result:
    """Measure the cells that the folder does not hold yet, then write table, figure and result.

    Every finished cell is a line of cells.jsonl, so an interrupted study loses at most one cell.
    If no cell is left, verdict and figure are made again, and the result still says what the cells
    were measured on, and when.

    Args:
      study: what to run.
      size: which of its configurations.
      folder: where to; made when needed.
      environment: what it runs on: "device", "started" (UTC, ISO 8601) and whatever else; saved
        with every cell.
      command: what measures it again, for result.json; by default that of the command line.
      progress: called before each cell with how many are done, how many there are, and the cell.

    Raises:
      ValueError: environment lacks one of the two; the folder holds cells of another study or
        configuration, or a damaged line that is not the last one; rows that differ in their
        columns, or none at all.
      ModuleNotFoundError: pandas is not installed.
    """
    if missing := {"device", "started"} - environment.keys():
        raise ValueError(
            f"environment must say on which device and when: it lacks {', '.join(sorted(missing))}"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = study.sizes[size]
    # As JSON returns it: a tuple of the configuration is a list in the file it is compared with.
    heading = json.loads(json.dumps({"study": study.name, "size": size, "config": asdict(config)}))
    entries = _read_or_begin(folder / CELLS, heading)
    _measure(study, config, folder / CELLS, entries, environment, progress)

    in_order = [entries[_key(cell)] for cell in study.cells(config)]
    table = table_of([row for entry in in_order for row in entry["rows"]])
    write_table(table, folder / TABLE)
    seconds = sum(entry["seconds"] for entry in in_order)
    result = Result(study.verdict(config, table), table, seconds)
    measured_on = _environment(list(entries.values()))
    finished = Finished(
        **heading,
        claim=study.claim,
        source=study.source,
        comparison=study.comparison,
        verdict=result.verdict,
        rows=len(table),
        seconds=round(seconds, 1),
        date=measured_on["started"][: len("2026-01-31")],
        command=command or f"jaxalign study {study.name} --size {size}",
        environment=measured_on,
    )
    write_figures(partial(study.figure, config, table), finished, folder)
    write_result(finished, folder)
    return result


def _measure(
    study: Study[Any],
    config: Any,
    file: Path,
    entries: Entries,
    environment: Mapping[str, Any],
    progress: Progress,
) -> None:
    """Measure the cells that are not among the entries; add each to the file and to the entries."""
    cells = study.cells(config)
    for cell in cells:
        if _key(cell) in entries:
            continue
        progress(len(entries), len(cells), cell)
        start = time.perf_counter()
        rows = study.measure(config, cell)
        entry = {
            "cell": dict(cell),
            "rows": [dict(row) for row in rows],
            "seconds": round(time.perf_counter() - start, 3),
            "environment": dict(environment),
        }
        line = json.dumps(entry)
        with open(file, "a", encoding="utf-8") as out:
            out.write(line + "\n")
        # As a resumed run reads it, so that both have the same table.
        entries[_key(cell)] = json.loads(line)


def _read_or_begin(file: Path, heading: Mapping[str, Any]) -> Entries:
    """The entries of a file, which is begun if it is missing and loses a torn last line."""
    lines: list[Any] = []
    if file.exists():
        lines = list(json_lines(file, "delete that line, to measure it again"))
    if lines and lines[0] != heading:
        raise ValueError(
            f"{file.parent} holds cells of another study, size or configuration, "
            f"{json.dumps(lines[0]):.200}; name another folder, or delete it"
        )
    entries = lines[1:]
    replace_lines(file, map(json.dumps, [heading, *entries]))
    return {_key(entry["cell"]): entry for entry in entries}


def _environment(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """That of all cells: where they differ, all that it was; the start is the last one."""
    each = [entry["environment"] for entry in entries]
    return {**_joined(each), "started": each[-1]["started"]}


def _joined(values: Sequence[Any]) -> Any:
    """The value if all are equal; others are joined as texts, mappings name by name."""
    last = values[-1]
    if isinstance(last, Mapping):
        mappings = [one for one in values if isinstance(one, Mapping)]
        return {name: _joined([one[name] for one in mappings if name in one]) for name in last}
    different = dict.fromkeys(map(str, values))
    return last if len(different) == 1 else BESIDE.join(different)


def _key(cell: Cell) -> str:
    return json.dumps(dict(cell), sort_keys=True)
