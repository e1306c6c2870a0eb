"""The page of the studies: one self-contained claims.html, with a section for each claim, its
verdict and what speaks against it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from markupsafe import Markup

from jaxalign.statistics import Estimate
from jaxalign.studies.framework.catalogue import STUDIES
from jaxalign.studies.framework.results import BESIDE, Finished
from jaxalign.studies.framework.verdict import OUTCOMES, Verdict, in_words
from jaxalign.style.html import render

PAGE = "claims.html"
LISTED = 4
"""So many contradicted cells are named at once; the table has all."""


def claims_page(results: Mapping[str, Finished], drawings: Mapping[str, Markup]) -> str:
    """The HTML of finished studies, whose tables are linked as NAME/table.csv.

    Args:
      results: at least one, by name, as ``read_results`` gives them.
      drawings: the figure of each, set into the page.
    """
    return render(
        "jaxalign.studies.report",
        "page.html",
        title="The paper’s claims",
        kicker=_kicker(results.values()),
        warnings=[],
        lede=_lede(finished.verdict for finished in results.values()),
        missing=[name for name in STUDIES if name not in results],
        sections=[_section(finished, drawings[name]) for name, finished in results.items()],
    )


def _kicker(results: Iterable[Finished]) -> str:
    sizes: dict[str, None] = {}
    devices: dict[str, None] = {}
    for finished in results:
        sizes[finished.size] = None
        # One study may have been measured on several.
        devices |= dict.fromkeys(finished.environment["device"].split(BESIDE))
    return f"Size: {', '.join(sizes)} · measured on {', '.join(devices)}"


def _lede(verdicts: Iterable[Verdict]) -> str:
    """How many claims came out how, in a sentence."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    if counts.total() == 1:
        return f"One claim was put to the test: it is {next(iter(counts))}."
    parts = [f"{counts[outcome]} {_are(counts[outcome])} {outcome}" for outcome in OUTCOMES]
    return f"Of {counts.total()} claims, {parts[0]}, {parts[1]} and {parts[2]}."


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _section(finished: Finished, drawing: Markup) -> dict[str, Any]:
    verdict = finished.verdict
    contradicted = verdict.named("contradicted")
    return {
        "study": finished.study,
        "claim": finished.claim,
        "source": finished.source,
        "comparison": finished.comparison,
        "outcome": verdict.outcome,
        **_numbers(verdict.effect),
        "of": verdict.of,
        "units": verdict.units(),
        "cells": _cells(len(verdict.cells)),
        "counts": verdict.counts(),
        "contradicted": [cell.name for cell in contradicted[:LISTED]],
        "more": len(contradicted[LISTED:]),
        "judged": [
            {"name": cell.name, "outcome": outcome, **_numbers(cell.effect)}
            # What speaks against the claim comes first.
            for outcome in reversed(OUTCOMES)
            for cell in verdict.named(outcome)
        ],
        # In the page itself, so that it can be moved without its folder.
        "drawing": drawing,
        "notes": verdict.notes,
        "details": list(_details(finished)),
        "config": [(name, _shown(value)) for name, value in finished.config.items()],
        "rows": f"{finished.rows:,}",
        "command": finished.command,
    }


def _numbers(effect: Estimate) -> dict[str, str]:
    """A value and its interval, apart."""
    value, interval = in_words(effect).split(" ", maxsplit=1)
    return {"value": value, "interval": interval}


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count:,} cells"


def _details(finished: Finished) -> Iterator[tuple[str, str]]:
    yield "size", finished.size
    yield "time", f"{finished.seconds:,.0f} s of measuring"
    yield "date", finished.date
    yield "device", finished.environment["device"]
    if versions := finished.environment.get("versions"):
        yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items())


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
