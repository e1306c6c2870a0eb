"""The page of the studies: one self-contained claims.html, with a section for each claim, its
verdict and what speaks against it.
"""

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from jaxalign.studies.framework.catalogue import STUDIES
from jaxalign.studies.framework.results import Finished
from jaxalign.studies.framework.study import Outcome, Verdict
from jaxalign.style.html import render

PAGE = "claims.html"
_PLURALS = {"holds": "hold", "holds in part": "hold in part", "does not hold": "do not hold"}


def claims_page(results: Mapping[str, Finished], pictures: Mapping[str, bytes]) -> str:
    """The HTML of finished studies, whose tables are linked as NAME/table.csv.

    Args:
      results: at least one, by name, as ``read_results`` gives them.
      pictures: the PNG of each, set into the page.
    """
    return render(
        "jaxalign.studies.report",
        "page.html",
        title="The paper’s claims",
        kicker=_kicker(results.values()),
        warnings=[],
        lede=_lede(finished.verdict for finished in results.values()),
        missing=[name for name in STUDIES if name not in results],
        sections=[_section(finished, pictures[name]) for name, finished in results.items()],
    )


def _kicker(results: Iterable[Finished]) -> str:
    origins = [(finished.size, finished.environment["device"]) for finished in results]
    sizes, devices = (", ".join(dict.fromkeys(column)) for column in zip(*origins, strict=True))
    return f"Size: {sizes} · measured on {devices}"


def _lede(verdicts: Iterable[Verdict]) -> str:
    """How many claims came out how, in a sentence."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    total = counts.total()
    present = [outcome for outcome in get_args(Outcome) if counts[outcome]]
    if total == 1:
        return f"One claim was put to the test: it {present[0]}."
    parts = [_counted(counts[outcome], outcome) for outcome in present]
    # The last part follows an "and", if there are several.
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return f"Of {total} claims, {listed}."


def _counted(count: int, outcome: Outcome) -> str:
    return f"{count} {outcome if count == 1 else _PLURALS[outcome]}"


def _section(finished: Finished, picture: bytes) -> dict[str, Any]:
    verdict = finished.verdict
    return {
        "study": finished.study,
        "claim": finished.claim,
        "source": finished.source,
        "outcome": verdict.outcome,
        "estimate": verdict.estimate(),
        "of": verdict.of,
        "n": f"{verdict.effect.n:,}",
        "failing": verdict.failing,
        "failing_cells": f"{len(verdict.failing):,} of {verdict.cells:,}",
        # In the page itself, so that it can be moved without its folder.
        "picture": base64.b64encode(picture).decode(),
        "notes": verdict.notes,
        "details": list(_details(finished)),
        "config": [(name, _shown(value)) for name, value in finished.config.items()],
        "rows": f"{finished.rows:,}",
        "command": finished.command,
    }


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
