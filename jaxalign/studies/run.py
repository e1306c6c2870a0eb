"""Runs a study into a folder, a cell at a time, and goes on where it stopped: `cells.jsonl` holds what is done."""

import csv
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from jaxalign.statistics import Estimate
from jaxalign.studies.study import Cell, Row, Size, Study, Verdict
from jaxalign.training.json_lines import json_lines, replace_lines

CELLS, TABLE, RESULT, FIGURE = "cells.jsonl", "table.csv", "result.json", "figure.png"


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
    progress: Callable[[int, int, Cell], None] = lambda done, cells, cell: None,
) -> Result:
    """Measure the cells that the folder does not hold yet, then write table, figure and result.

    Every finished cell is a line of cells.jsonl, so a study that is interrupted loses one cell at most.

    Args:
      study: what to run.
      size: which of its configurations.
      folder: where to; made when needed.
      environment: what it runs on, for result.json.
      progress: called before each cell with how many are done, how many there are, and the cell.

    Raises:
      ValueError: the folder holds cells of another study or configuration, or a damaged line that is not the last one.
    """
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
        entry = {"cell": dict(cell), "rows": [dict(row) for row in rows], "seconds": round(time.perf_counter() - started, 3)}
        with open(folder / CELLS, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        done[_key(cell)] = entry
    entries = [done[_key(cell)] for cell in cells]
    rows = [row for entry in entries for row in entry["rows"]]
    result = Result(study.verdict(config, rows), rows, sum(entry["seconds"] for entry in entries))
    write_table(rows, folder / TABLE)
    study.figure(config, rows).savefig(folder / FIGURE, dpi=160)
    told = {**about, "claim": study.claim, "source": study.source, "verdict": as_json(result.verdict), "rows": len(rows)}
    told |= {"line": result.verdict.line(), "seconds": round(result.seconds, 1), "environment": dict(environment)}
    (folder / RESULT).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return result


def as_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON holds it."""
    return {
        **verdict._asdict(),
        "effect": verdict.effect._asdict(),
        "failing": list(verdict.failing),
        "notes": list(verdict.notes),
    }


def as_verdict(held: Mapping[str, Any]) -> Verdict:
    """A verdict from what ``as_json`` made of it."""
    return Verdict(**{**held, "effect": Estimate(**held["effect"])})


def write_table(rows: Sequence[Row], file: Path) -> None:
    """Rows as CSV, floats in seven digits."""
    with open(file, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([f"{x:.7g}" if isinstance(x, float) else x for x in row.values()] for row in rows)


def _begun(file: Path, about: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The finished cells in a file, by their key; the file is begun, or mended, so that a line can be added to it."""
    entries = list(json_lines(file, "delete that line, to measure it anew")) if file.exists() else []
    if entries and entries[0] != about:
        raise ValueError(
            f"{file.parent} holds cells of another study, size or configuration: {entries[0].get('study')} "
            f"{entries[0].get('size')}; name another folder, or delete it"
        )
    whole = [dict(about), *entries[1:]]
    replace_lines(file, map(json.dumps, whole))
    return {_key(entry["cell"]): entry for entry in whole[1:]}


def _key(cell: Cell) -> str:
    return json.dumps(dict(cell), sort_keys=True)
