"""Runs a study into a folder, a cell at a time, and goes on where it stopped: `cells.jsonl` holds
what is done.
"""

import csv
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from jaxalign._core.jsonl import json_lines, replace_lines
from jaxalign.studies.framework.results import CELLS, FIGURE, TABLE, Finished, write_result
from jaxalign.studies.framework.study import Cell, Row, Size, Study, Verdict


class Result(NamedTuple):
    """A finished study.

    Attributes:
      verdict: what it concludes.
      rows: its table.
      seconds: what measuring all cells took.
    """

    verdict: Verdict
    rows: Sequence[Row]
    seconds: float


def run(
    study: Study[Any],
    size: Size,
    folder: str | Path,
    *,
    environment: Mapping[str, Any],
    command: str | None = None,
    progress: Callable[[int, int, Cell], None] = lambda done, cells, cell: None,
) -> Result:
    """Measure the cells that the folder does not hold yet, then write table, figure and result.

    Every finished cell is a line of cells.jsonl, so a study that is interrupted loses one cell at
    most. Where nothing is left to be measured, verdict and figure are made anew, and the result
    still says what the cells were measured on, and when.

    Args:
      study: what to run.
      size: which of its configurations.
      folder: where to; made when needed.
      environment: what it runs on: "device", "started" (UTC, ISO 8601) and whatever else; kept with
        every cell.
      command: what measures it again, for result.json; by default that of the command line.
      progress: called before each cell with how many are done, how many there are, and the cell.

    Raises:
      ValueError: environment lacks one of the two; the folder holds cells of another study or
        configuration, or a damaged line that is not the last one; rows that differ in their
        columns, or none at all.
    """
    if missing := {"device", "started"} - environment.keys():
        raise ValueError(
            f"environment must say on which device and when: it lacks {', '.join(sorted(missing))}"
        )
    config, folder = study.sizes[size], Path(folder)
    cells = study.cells(config)
    folder.mkdir(parents=True, exist_ok=True)
    about = json.loads(json.dumps({"study": study.name, "size": size, "config": asdict(config)}))
    done = _begun(folder / CELLS, about)
    for cell in cells:
        if _key(cell) in done:
            continue
        progress(len(done), len(cells), cell)
        started = time.perf_counter()
        rows = study.measure(config, cell)
        entry = {
            "cell": dict(cell),
            "rows": [dict(row) for row in rows],
            "seconds": round(time.perf_counter() - started, 3),
            "environment": dict(environment),
        }
        line = json.dumps(entry)
        with open(folder / CELLS, "a", encoding="utf-8") as file:
            file.write(line + "\n")
        done[_key(cell)] = json.loads(line)  # as one that goes on will find it
    entries = [done[_key(cell)] for cell in cells]
    rows = [row for entry in entries for row in entry["rows"]]
    write_table(rows, folder / TABLE)
    result = Result(study.verdict(config, rows), rows, sum(entry["seconds"] for entry in entries))
    study.figure(config, rows).savefig(folder / FIGURE, dpi=160)
    measured_on = _environment(list(done.values()))
    write_result(
        Finished(
            **about,
            claim=study.claim,
            source=study.source,
            verdict=result.verdict,
            rows=len(rows),
            seconds=round(result.seconds, 1),
            date=measured_on["started"][: len("2026-01-31")],
            command=command or f"jaxalign study {study.name} --size {size}",
            environment=measured_on,
        ),
        folder,
    )
    return result


def write_table(rows: Sequence[Row], file: Path) -> None:
    """Rows as CSV, floats in seven digits.

    Raises:
      ValueError: there is no row, or one whose columns are not those of the first.
    """
    if not rows:
        raise ValueError(f"the study has no rows to write to {file}; measure has to return some")
    for number, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise ValueError(
                f"all rows must have the columns of the first, {', '.join(rows[0])}; row {number} has {', '.join(row)}"
            )
    with open(file, "w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {k: f"{x:.7g}" if isinstance(x, float) else x for k, x in row.items()} for row in rows
        )


def _begun(file: Path, about: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The finished cells in a file, by their key; the file is begun, or mended, so that a line can
    be added to it.
    """
    entries = (
        list(json_lines(file, "delete that line, to measure it anew")) if file.exists() else []
    )
    if entries and entries[0] != about:
        raise ValueError(
            f"{file.parent} holds cells of another study, size or configuration, {json.dumps(entries[0]):.200}; "
            "name another folder, or delete it"
        )
    whole = [dict(about), *entries[1:]]
    replace_lines(file, map(json.dumps, whole))
    return {_key(entry["cell"]): entry for entry in whole[1:]}


def _environment(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the cell measured last was measured on; devices of all of them."""
    devices = dict.fromkeys(entry["environment"]["device"] for entry in entries)
    return {**entries[-1]["environment"], "device": "; ".join(devices)}


def _key(cell: Cell) -> str:
    return json.dumps(dict(cell), sort_keys=True)
