"""The page of the studies: one self-contained claims.html, a section a claim, with its verdict and
what speaks against it.
"""

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, get_args

from jaxalign.studies.framework.catalogue import STUDIES
from jaxalign.studies.framework.results import Finished
from jaxalign.studies.framework.study import Outcome, Verdict
from jaxalign.style.html import fill

PAGE = "claims.html"
_OF_SEVERAL = {"holds": "hold", "holds in part": "hold in part", "does not hold": "do not hold"}


def claims_page(results: Mapping[str, Finished], pictures: Mapping[str, bytes]) -> str:
    """The HTML of finished studies, whose tables are linked as NAME/table.csv.

    Args:
      results: at least one, by name, as ``read_results`` gives them.
      pictures: the PNG of each, set into the page.
    """
    missing = [name for name in STUDIES if name not in results]
    text = {
        "title": "The paper’s claims · jaxalign",
        "kicker": _kicker(results.values()),
        "lede": _lede(found.verdict for found in results.values()),
        "missing": f"Not run yet: {', '.join(missing)}." if missing else "",
    }
    markup = {
        "contents": "".join(_entry(found) for found in results.values()),
        "sections": "".join(_section(found, pictures[name]) for name, found in results.items()),
    }
    return fill("jaxalign.studies.report", "page.html", text, markup)


def _kicker(results: Iterable[Finished]) -> str:
    told = [(found.size, found.environment["device"]) for found in results]
    sizes, devices = (", ".join(dict.fromkeys(column)) for column in zip(*told, strict=True))
    return f"Size: {sizes} · measured on {devices}"


def _lede(verdicts: Iterable[Verdict]) -> str:
    """How many claims came out how, in a sentence."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    told = [
        f"{counts[o]} {_OF_SEVERAL[o] if counts[o] > 1 else o}"
        for o in get_args(Outcome)
        if counts[o]
    ]
    listed = told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
    total = counts.total()
    return (
        f"Of {total} claims, {listed}."
        if total > 1
        else f"One claim was put to the test: it {told[0][2:]}."
    )


def _entry(found: Finished) -> str:
    return f'<li><a href="#{found.study}">{escape(found.claim)}</a> {_badge(found.verdict.outcome)}</li>'


def _badge(outcome: Outcome) -> str:
    return f'<span class="badge {outcome.replace(" ", "-")}">{outcome}</span>'


def _section(found: Finished, picture: bytes) -> str:
    verdict = found.verdict
    text = {
        "study": found.study,
        "heading": found.study.capitalize(),
        "claim": found.claim,
        "source": found.source,
        "estimate": verdict.estimate(),
        "of": verdict.of,
        "n": f"{verdict.effect.n:,}",
        "failing_cells": f"{len(verdict.failing):,} of {verdict.cells:,}",
        "rows": f"{found.rows:,}",
        "command": found.command,
    }
    markup = {
        "badge": _badge(verdict.outcome),
        "picture": base64.b64encode(picture).decode(),
        "failing": _list("Where it fails", verdict.failing, "failing"),
        "notes": _list("Read with care", verdict.notes, "notes"),
        "details": _terms(_details(found)),
        "config": _terms((name, _shown(value)) for name, value in found.config.items()),
    }
    return fill("jaxalign.studies.report", "claim.html", text, markup)


def _details(found: Finished) -> Iterable[tuple[str, str]]:
    yield "size", found.size
    yield "time", f"{found.seconds:,.0f} s of measuring"
    yield "date", found.date
    yield "device", found.environment["device"]
    if versions := found.environment.get("versions"):
        yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items())


def _list(heading: str, sentences: Iterable[str], kind: str) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<h3>{heading}</h3><ul class="{kind}">{items}</ul>' if items else ""


def _terms(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
