"""What the page of a run says of its numbers, in sentences."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from markupsafe import Markup

from jaxalign.report.run.quantities import arrays, scalars, with_interval
from jaxalign.report.run.summary import RunSummary, of_result
from jaxalign.runs import is_input
from jaxalign.statistics import Estimate
from jaxalign.style.html import number, percent, unbroken

NAMED_FALLS = 4
"""So many layers that are less aligned than the one before are named; more are counted."""


def lede(run: RunSummary) -> str:
    """The most aligned layer before training and after, and where the last layer stands."""
    headline = run.headline
    if headline is None:
        return _without_alignment(run)
    last = run.headline_layers[-1]
    which = "the last layer measured and" if headline == last else "in the end"
    tau = run.threshold(headline)
    if tau is None:
        before, after = (number(run.shares[headline]["area"].value[row], 2) for row in (0, -1))
        text = f"The most aligned layer in the end is {headline}: its area is {before} before "
        return f"{text}training and {after} after.{_medians(run)}"
    before, after = run.at_threshold(headline).value[[0, -1]]
    strong = unbroken(f"σ ≥ {tau:g}")
    text = (
        f"Before training, {percent(before)} of the targets lay along the strong directions "
        f"({strong}) of {headline}, {which} the most aligned. "
    )
    if np.isnan(after):
        return f"{text}Then the run diverged."
    text += f"After {run.history.measured[-1]:,} steps it is {percent(after)}"
    chance = run.chance(headline)
    if chance is not None and np.isfinite(chance[-1]):
        text += f"; by chance it would be {percent(chance[-1])}"
    if last != headline and "alignment" in run.shares[last]:
        before, after = run.at_threshold(last).value[[0, -1]]
        text += f". The last layer, {last}, went from {percent(before)} to {percent(after)}"
    return f"{text}.{_medians(run)}"


def tiles(
    run: RunSummary, sigma_limit: float, result: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """A few numbers to look at first, each with what it is."""
    headline = run.headline
    if headline is not None:
        measures, tau = run.shares[headline], run.threshold(headline)
        if tau is not None:
            shares = run.at_threshold(headline).value
            yield (
                _change(percent, shares),
                f"of the targets at {unbroken(f'σ ≥ {tau:g}')} in {headline}",
            )
        if "area" in measures:
            areas = measures["area"].value
            limit = f"area under its curve, over ‖y‖² (at most {sigma_limit:.1f})"
            yield _change(lambda area: number(area, 1), areas), limit
    accuracies = _accuracies(result)
    if accuracies:
        values = " · ".join(percent(accuracy.value) for accuracy in accuracies.values())
        yield values, f"accuracy, {' · '.join(accuracies)}"


def verdict(run: RunSummary) -> str:
    """Whether the area grows from layer to layer."""
    areas = {
        name: run.shares[name]["area"].value[-1]
        for name in run.headline_layers
        if "area" in run.shares[name] and not is_input(name)
    }
    if np.isnan(list(areas.values())).any():
        return "The run diverged, so the trained layers cannot be compared."
    if len(areas) < 2:
        return "Only one layer was measured, so there is no order to judge."
    falls = [f"{b} under {a}" for a, b in pairwise(areas) if areas[b] <= areas[a]]
    if not falls:
        return (
            "By area, every layer is more aligned than the one before it: "
            "alignment grows towards the output."
        )
    listed = ", ".join(falls[:NAMED_FALLS])
    if len(falls) > NAMED_FALLS:
        listed += f" and {len(falls) - NAMED_FALLS} more"
    return (
        f"By area, not every layer is above the one before it: {listed}. "
        f"The most aligned is {run.headline}."
    )


def warnings(run: RunSummary, result: Mapping[str, Any]) -> Iterator[str]:
    """What would mislead whoever overlooks it."""
    history = run.history
    if result.get("status") != "finished":
        yield f"This run did not finish: it came to step {history.step[-1]:,}."
    bad = np.flatnonzero(~np.isfinite(run.loss.value))
    if bad.size:
        yield (
            f"The loss is not finite from step {history.step[bad[0]]:,} on: the run diverged. "
            "Try a smaller step size."
        )
    elif run.diverged:
        positions = ", ".join(map(str, run.diverged))
        yield (
            f"{len(run.diverged)} of {history.models} models diverged "
            f"(counted from 0: {positions}); the medians are of the others."
        )


def about_seeds(n: int) -> str:
    """What the intervals are, or that there are none."""
    if n == 1:
        return Markup(
            "This is one run with one seed. A claim needs several, and an interval: "
            "<code>--seeds 8</code> trains them as one program."
        )
    # Under six values no two order statistics enclose the median with 95 % confidence.
    widest = f"; of {n}, the interval is their range, with a confidence of {1 - 2 ** (1 - n):.0%}"
    return (
        f"Intervals are those of the median over {n} seeds, from order statistics"
        f"{widest if n < 6 else ''}. Other data would vary more."
    )


def accuracy(result: Mapping[str, Any]) -> str:
    """The accuracies of a result, with intervals where there are several models; "" without any."""
    parts = [
        f"{with_interval(accuracy, '{:.1%}'.format)} on {part} data"
        for part, accuracy in _accuracies(result).items()
    ]
    return f"accuracy {', '.join(parts)}" if parts else ""


def _accuracies(result: Mapping[str, Any]) -> dict[str, Estimate]:
    parts = {"training": "train_accuracy", "test": "test_accuracy"}
    return {part: of_result(result, name) for part, name in parts.items() if name in result}


def _without_alignment(run: RunSummary) -> str:
    layers = run.history.layers
    names = [*scalars(run, layers), *(measure for measure, _ in arrays(run, layers))]
    if not names:
        return f"The loss over {run.history.step[-1]:,} steps; no layer was measured."
    return f"Measured in {', '.join(layers)}: {', '.join(names)}.{_medians(run)}"


def _medians(run: RunSummary) -> str:
    if run.loss.n == 1:
        return ""
    return f" Medians of {run.loss.n} models that differ in their seeds alone."


def _change(shown: Any, values: Sequence[float]) -> str:
    return f"{shown(values[0])} → {shown(values[-1])}"
