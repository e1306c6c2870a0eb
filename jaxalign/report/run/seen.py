"""What a person sees in each picture of a run, for those who do not see it."""

import numpy as np

from jaxalign.report.run.quantities import arrays, scalars
from jaxalign.report.run.summary import RunSummary
from jaxalign.runs import is_input
from jaxalign.style.html import number, percent


def seen(run: RunSummary, picture: str) -> str:
    """The picture of that name, of those of ``all_figures``, in a few sentences."""
    match picture:
        case "alignment_by_step":
            return f"A line for each of {_listed(run)} over the training steps. {_areas(run)}"
        case "curve_by_layer":
            return (
                "The alignment curve before training and after it, in a panel for each of "
                f"{_listed(run)}. {_shares(run)}"
            )
        case "threshold_heat_map":
            return (
                f"A map of the alignment of {run.headline}: steps to the right, thresholds "
                f"upwards. {_half(run)}"
            )
        case "measures_by_step":
            measures = ", ".join(scalars(run, run.history.layers))
            return f"A panel for each of {measures}: a line for each layer over the training steps."
        case _:
            measures = ", ".join(measure for measure, _ in arrays(run, run.history.layers))
            return f"A panel for each of {measures}: every layer at the first step and at the last."


def _listed(run: RunSummary) -> str:
    return ", ".join(name for name, measures in run.shares.items() if measures)


def _areas(run: RunSummary) -> str:
    """Where the areas begin and end."""
    ends = [
        f"{name} from {number(first, 2)} to {number(last, 2)}"
        for name, measures in run.shares.items()
        if "area" in measures and not is_input(name)
        for first, last in [measures["area"].value[[0, -1]]]
    ]
    return f"The areas go: {', '.join(ends)}." if ends else ""


def _shares(run: RunSummary) -> str:
    """Where the curve of the most aligned layer is at the middle threshold."""
    headline = run.headline
    tau = None if headline is None else run.threshold(headline)
    if headline is None or tau is None:
        return ""
    before, after = run.at_threshold(headline).value[[0, -1]]
    return f"At σ ≥ {tau:g}, {headline} goes from {percent(before)} to {percent(after)}."


def _half(run: RunSummary) -> str:
    """Up to which threshold half of the targets is left, before and after."""
    assert run.headline is not None
    curves = run.shares[run.headline]["curve"].value[[0, -1]]
    grid = run.axis(run.headline, "curve")
    reached = [grid[curve >= 0.5].max(initial=0.0) for curve in curves]
    if not np.isfinite(curves).all():
        return f"Half of the targets is left up to σ = {reached[0]:.3g} at first."
    first, last = reached
    return f"Half of the targets is left up to σ = {first:.3g} at first, {last:.3g} in the end."
