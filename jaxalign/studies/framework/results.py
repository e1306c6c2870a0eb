"""A finished study as its folder holds it: result.json, beside a table and a figure."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxalign._core.jsonl import replace_lines
from jaxalign.statistics import Estimate
from jaxalign.studies.framework.catalogue import STUDIES
from jaxalign.studies.framework.study import Size, Verdict

CELLS, TABLE, RESULT, FIGURE = "cells.jsonl", "table.csv", "result.json", "figure.png"


class Finished(NamedTuple):
    """What result.json says.

    Attributes:
      study: its name.
      claim: what was to be shown.
      source: whose claim it is.
      size: which of its configurations was run.
      config: that configuration.
      verdict: what it concludes.
      rows: how many the table has.
      seconds: what measuring all cells took.
      date: when the last cell was measured (UTC, ISO 8601).
      command: what measures it again.
      environment: what it was measured on: "device", "versions", ...
    """

    study: str
    claim: str
    source: str
    size: Size
    config: Mapping[str, Any]
    verdict: Verdict
    rows: int
    seconds: float
    date: str
    command: str
    environment: Mapping[str, Any]


def write_result(finished: Finished, folder: Path) -> None:
    """Write result.json in one move: whoever reads meanwhile finds the old one or the new one."""
    told = {
        **finished._asdict(),
        "line": finished.verdict.line(),
        "verdict": as_json(finished.verdict),
    }
    replace_lines(folder / RESULT, [json.dumps(told, indent=1, ensure_ascii=False)])


def read_result(folder: str | Path) -> Finished:
    """The result in a study's folder.

    Raises:
      FileNotFoundError: there is none; the study was not run, or not to its end.
      ValueError: the file is something else.
    """
    file = Path(folder) / RESULT
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        del held["line"]
        return Finished(**{**held, "verdict": as_verdict(held["verdict"])})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} is no result of a study ({error!r}); delete it, and run the study again"
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
    value, low, high, n = verdict.effect
    return {
        **verdict._asdict(),
        "effect": {"value": float(value), "low": float(low), "high": float(high), "n": int(n)},
        "failing": list(verdict.failing),
        "notes": list(verdict.notes),
    }


def as_verdict(held: Mapping[str, Any]) -> Verdict:
    """A verdict from what ``as_json`` made of it."""
    return Verdict(**{**held, "effect": Estimate(**held["effect"])})
