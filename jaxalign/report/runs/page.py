"""The page of several runs: one self-contained index.html with their curves and differences."""

import numpy as np

from jaxalign.report.runs.differences import Differences
from jaxalign.report.runs.figure import curves
from jaxalign.report.runs.terminal import cells, letters
from jaxalign.style.html import render, svg


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
        figures=[(quantity.name, svg(curves(found, quantity))) for quantity in found.quantities],
        rows=[(row.quantity.name, row.layer, list(cells(row))) for row in found.rows],
        notes=found.notes,
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
