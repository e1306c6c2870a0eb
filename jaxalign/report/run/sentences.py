"""What the page of a run says of its numbers, in sentences."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from markupsafe import Markup

from jaxalign.report.run.quantities import with_interval
from jaxalign.report.run.summary import RunSummary, of_result
from jaxalign.runs import is_input
from jaxalign.statistics import Estimate
from jaxalign.style.html import number, percent, unbroken

NAMED_FALLS = 4
"""So many layers that are less aligned than the one before are named; more are counted."""


def lede(run: RunSummary) -> str:
    """The most aligned layer before training and after, and where the last layer stands."""
    headline = run.headline
    if headline is None or not {"alignment", "area"} & set(run.shares[headline]):
        text = _what_was_measured(run)
    elif run.threshold(headline) is None:
        before, after = _ends(run.shares[headline]["area"])
        text = (
            f"The most aligned layer in the end is {headline}: its area is {number(before, 2)} "
            f"before training and {number(after, 2)} after."
        )
    else:
        text = _before_and_after(run, headline)
    if run.loss.n > 1:
        text += f" Medians of {run.loss.n} models that differ in their seeds alone."
    return text


def tiles(
    run: RunSummary, sigma_limit: float, result: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """A few numbers to look at first, each with what it is."""
    headline = run.headline
    if headline is not None:
        tau = run.threshold(headline)
        if tau is not None:
            where = f"{unbroken(f'σ ≥ {tau:g}')} in {headline}"
            yield _change(percent, run.at_threshold(headline)), f"of the targets at {where}"
        if "area" in run.shares[headline]:
            limit = f"area under its curve, over ‖y‖² (at most {sigma_limit:.1f})"
            area = run.shares[headline]["area"]
            yield _change(lambda value: number(value, 1), area), limit
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
    if "area" not in run.shares[run.headline_layers[-1]]:
        return ""
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


def about_seeds(n: int) -> str:
    """What the intervals are, or that there are none."""
    if n == 1:
        return Markup(
            "This is one run with one seed. A claim needs several, and an interval: "
            "<code>--seeds 8</code> trains them as one program."
        )
    text = f"Intervals are those of the median over {n} seeds, from order statistics"
    # Under six values no two order statistics enclose the median with 95 % confidence.
    if n < 6:
        confidence = 1 - 2 ** (1 - n)
        text += f"; of {n}, the interval is their range, with a confidence of {confidence:.0%}"
    return f"{text}. Other data would vary more."


def accuracy(result: Mapping[str, Any]) -> str:
    """The accuracies of a result, with intervals where there are several models; "" without any."""
    accuracies = _accuracies(result)
    if not accuracies:
        return ""
    parts = (
        f"{with_interval(accuracy, '{:.1%}'.format)} on {part} data"
        for part, accuracy in accuracies.items()
    )
    return f"accuracy {', '.join(parts)}"


def _accuracies(result: Mapping[str, Any]) -> dict[str, Estimate]:
    """Those a result has: regression has none, and there may be no test set."""
    parts = {"training": "train_accuracy", "test": "test_accuracy"}
    found = {part: of_result(result, name) for part, name in parts.items()}
    return {part: accuracy for part, accuracy in found.items() if accuracy is not None}


def _before_and_after(run: RunSummary, headline: str) -> str:
    """The shares at the middle threshold, of the most aligned layer and of the last one."""
    last = run.headline_layers[-1]
    which = "in the end the most aligned"
    if headline == last:
        which = "the last layer measured and the most aligned"
    strong = unbroken(f"σ ≥ {run.threshold(headline):g}")
    before, after = _ends(run.at_threshold(headline))
    if np.isnan(after):
        which = "the most aligned until the run diverged"
    text = (
        f"Before training, {percent(before)} of the targets lay along the strong directions "
        f"({strong}) of {headline}, {which}. "
    )
    if np.isnan(after):
        return text.rstrip()
    text += f"After {run.steps_of(headline, 'alignment')[-1]:,} steps it is {percent(after)}"
    chance = run.chance(headline)
    if chance is not None and np.isfinite(chance[-1]):
        text += f"; by chance it would be {percent(chance[-1])}"
    if last != headline and run.threshold(last) is not None:
        before, after = _ends(run.at_threshold(last))
        text += f". The last layer, {last}, went from {percent(before)} to {percent(after)}"
    return f"{text}."


def _what_was_measured(run: RunSummary) -> str:
    """Of a run without an alignment to tell of, the names of what it has."""
    names = [*run.shares.values(), *run.others.values()]
    measures = dict.fromkeys(measure for of_layer in names for measure in of_layer)
    if not measures:
        return f"The loss over {run.history.step[-1]:,} steps; no layer was measured."
    return f"Measured in {', '.join(run.history.layers)}: {', '.join(measures)}."


def _ends(values: Estimate) -> Sequence[float]:
    return values.value[[0, -1]]


def _change(shown: Callable[[float], str], values: Estimate) -> str:
    return " → ".join(map(shown, _ends(values)))
