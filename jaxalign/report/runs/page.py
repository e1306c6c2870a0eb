"""The page of several runs: one self-contained index.html with their curves and differences."""

from collections.abc import Iterator

import numpy as np
from markupsafe import Markup

from jaxalign.report.runs.differences import Differences, Quantity
from jaxalign.report.runs.figure import curves
from jaxalign.report.runs.terminal import cells, letters
from jaxalign.style.html import render
from jaxalign.style.layout import NARROW
from jaxalign.style.svg import picture


def runs_page(found: Differences) -> str:
    """The HTML of runs side by side."""
    runs = list(zip(letters(found), found.runs, strict=True))
    return render(
        "jaxalign.report.runs",
        "page.html",
        title=f"{len(runs)} runs side by side",
        kicker=" · ".join(f"{letter}: {run.name}" for letter, run in runs),
        warnings=[],
        lede=_lede(found),
        runs=[(letter, run.name, run.title) for letter, run in runs],
        letters=letters(found),
        figures=list(_pictures(found)),
        rows=[(row.quantity.name, row.layer, list(cells(row))) for row in found.rows],
        notes=found.notes,
    )


def _pictures(found: Differences) -> Iterator[tuple[str, Markup]]:
    for number, quantity in enumerate(found.quantities):
        wide = curves(found, quantity)
        narrow = curves(found, quantity, NARROW)
        yield quantity.name, picture(wide, narrow, _seen(found, quantity), f"runs-{number}")


def _seen(found: Differences, quantity: Quantity) -> str:
    """The panels and the lines in words; the numbers are in the table."""
    layers = ", ".join(row.layer for row in found.rows if row.quantity == quantity)
    names = ", ".join(run.name for run in found.runs)
    return (
        f"{quantity.name} over the training steps: a panel for each of {layers}, a line for each "
        f"of {names}."
    )


def _lede(found: Differences) -> str:
    """How many differences are sure, and where they were taken."""
    each = [difference for row in found.rows for difference in row.differences]
    known = [difference for difference in each if np.isfinite(difference.low)]
    steps = sorted({row.step for row in found.rows})
    where = f"step {steps[-1]:,}" if len(steps) == 1 else f"steps {steps[0]:,} to {steps[-1]:,}"
    text = f"{len(each)} differences from {found.runs[0].name}, at {where}."
    if known:
        sure = sum(difference.low > 0 or difference.high < 0 for difference in known)
        text += f" The 95 % interval of {sure} of {len(known)} leaves out 0."
    return text
