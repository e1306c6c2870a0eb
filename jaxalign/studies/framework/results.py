"""The result of a study in its folder: result.json, next to the table and the figures."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup
from matplotlib.figure import Figure

from jaxalign._core.jsonl import replace_lines
from jaxalign.statistics import Estimate
from jaxalign.studies.framework.catalogue import STUDIES
from jaxalign.studies.framework.study import Size
from jaxalign.studies.framework.verdict import Judged, Verdict
from jaxalign.style.layout import NARROW, WIDE, Layout
from jaxalign.style.svg import by_width, svg

CELLS = "cells.jsonl"
TABLE = "table.csv"
RESULT = "result.json"
FIGURE = "figure.png"
DRAWING = "figure.svg"
NARROW_DRAWING = "figure_narrow.svg"
"""The figure for documents, and for wide and narrow pages, which may be dark."""

BESIDE = "; "
"""Between the devices, or the versions, of cells that were measured on different ones."""


class Finished(NamedTuple):
    """The content of result.json.

    Attributes:
      study: its name.
      claim: what was to be shown.
      source: whose claim it is.
      comparison: what was compared to decide it.
      size: which of its configurations was run.
      config: that configuration.
      verdict: the conclusion.
      rows: the number of rows in the table.
      seconds: the time spent on measuring all cells.
      date: when the last cell was measured (UTC, ISO 8601).
      command: the command that measures it again.
      environment: what it was measured on: "device", "versions", ...
    """

    study: str
    claim: str
    source: str
    comparison: str
    size: Size
    config: Mapping[str, Any]
    verdict: Verdict
    rows: int
    seconds: float
    date: str
    command: str
    environment: Mapping[str, Any]


def write_result(finished: Finished, folder: Path) -> None:
    """Write result.json in one move, so that a reader finds the old or the new one, whole."""
    content = {
        **finished._asdict(),
        "line": finished.verdict.line(),
        "verdict": as_json(finished.verdict),
    }
    replace_lines(folder / RESULT, [json.dumps(content, indent=1, ensure_ascii=False)])


def write_figures(draw: Callable[[Layout], Figure], finished: Finished, folder: Path) -> None:
    """Write the figure for documents and pages, as it is drawn for each layout."""
    wide = draw(WIDE)
    wide.savefig(folder / FIGURE, dpi=160)
    verdict = finished.verdict
    seen = f"The measurements of every cell. {verdict.of}: {verdict.estimate()}."
    for file, figure in ((DRAWING, wide), (NARROW_DRAWING, draw(NARROW))):
        drawn = svg(figure, seen, f"{finished.study}-{file}")
        (folder / file).write_text(f"{drawn}\n", encoding="utf-8")


def read_picture(folder: str | Path) -> Markup:
    """The figure in a study's folder, for a page of any width."""
    wide, narrow = (
        Markup((Path(folder) / file).read_text(encoding="utf-8"))
        for file in (DRAWING, NARROW_DRAWING)
    )
    return by_width(wide, narrow)


def read_result(folder: str | Path) -> Finished:
    """The result in a study's folder.

    Raises:
      FileNotFoundError: there is none; the study was not run, or not to its end.
      ValueError: the file is something else.
    """
    file = Path(folder) / RESULT
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        # The line follows from the verdict.
        del content["line"]
        return Finished(**{**content, "verdict": as_verdict(content["verdict"])})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} is not a result of a study ({error!r}); delete it, and run the study again"
        ) from None


def read_results(out: str | Path) -> dict[str, Finished]:
    """The results in a folder of studies, by name, in the order of the catalogue."""
    return {
        name: read_result(Path(out) / name)
        for name in STUDIES
        if (Path(out) / name / RESULT).is_file()
    }


def as_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON holds it."""
    return {
        "outcome": verdict.outcome,
        "effect": _as_numbers(verdict.effect),
        "of": verdict.of,
        "over": verdict.over,
        "cells": [
            {"name": cell.name, "outcome": cell.outcome, "effect": _as_numbers(cell.effect)}
            for cell in verdict.cells
        ],
        "notes": list(verdict.notes),
    }


def as_verdict(content: Mapping[str, Any]) -> Verdict:
    """The inverse of ``as_json``."""
    # Outcomes follow from the intervals.
    cells = [Judged(cell["name"], Estimate(**cell["effect"])) for cell in content["cells"]]
    effect = Estimate(**content["effect"])
    return Verdict(effect, content["of"], content["over"], cells, content["notes"])


def _as_numbers(effect: Estimate) -> dict[str, float]:
    """An estimate in Python's numbers: those of numpy are not JSON."""
    return {
        "value": float(effect.value),
        "low": float(effect.low),
        "high": float(effect.high),
        "n": int(effect.n),
    }
