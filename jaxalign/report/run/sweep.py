"""What optimizer and step size do: the last loss and every layer's area, side by side over all runs
of a sweep.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from jaxalign.report.run.axes import layer_line
from jaxalign.report.run.summary import RunSummary
from jaxalign.statistics import Estimate, median_interval
from jaxalign.style.figures import INK, STYLE

LAST = 50
"""Losses are means over so many steps at the end, for that of one batch says little."""

LOSS = f"Training loss, mean of the last {LAST} steps"
AREA = "Area under the whole curve  ∫A dτ / ‖y‖²"


def sweep(runs: Mapping[tuple[str, float], RunSummary]) -> Figure:
    """Of {(optimizer, step size): run}, over the step size: the training loss at the end, and every
    layer's area over ‖y‖².

    Of one optimizer the two panels are side by side; several have a column each.
    """
    optimizers = list(dict.fromkeys(optimizer for optimizer, _ in runs))
    several = len(optimizers) > 1
    size = (2.5 + 3.6 * len(optimizers), 7.2) if several else (10, 4.2)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        if several:
            panels = figure.subplots(2, len(optimizers), sharey="row")
        else:
            panels = figure.subplots(1, 2)[:, None]
        for optimizer, (loss, area) in zip(optimizers, panels.T, strict=True):
            own = {rate: run for (name, rate), run in sorted(runs.items()) if name == optimizer}
            _over_rates(loss, area, own)
            if several:
                loss.set_title(optimizer)
        for axes, meaning in zip(panels[:, 0], (LOSS, AREA), strict=True):
            axes.set_ylim(bottom=0)
            if several:
                axes.set_ylabel(meaning)
            else:
                axes.set_title(meaning)
        figure.legend(handles=panels[1, 0].lines, loc="outside right center", fontsize=9)
    return figure


def _over_rates(loss: Axes, area: Axes, runs: Mapping[float, RunSummary]) -> None:
    first = next(iter(runs.values()))
    _line(loss, runs, [_last_loss(run) for run in runs.values()], {"color": INK})
    for name, measures in first.shares.items():
        if "area" in measures:
            areas = [run.shares[name]["area"] for run in runs.values()]
            ends = [area.map(lambda values: values[-1]) for area in areas]
            _line(area, runs, ends, layer_line(first, name))
    for axes in (loss, area):
        axes.set(xlabel="step size", xscale="log")
        axes.xaxis.set_major_locator(FixedLocator(list(runs)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(_general))


def _last_loss(run: RunSummary) -> Estimate:
    """Of every model the mean over its last steps, and over the models that did not diverge the
    median of those.
    """
    means = np.atleast_1d(run.history.loss[-LAST:].mean(axis=0))
    means = np.delete(means, run.diverged)
    if len(means) and np.isfinite(means).all():
        return median_interval(means)
    return Estimate(np.nan, np.nan, np.nan, len(means))


def _line(
    axes: Axes, rates: Iterable[float], ends: Sequence[Estimate], style: dict[str, Any]
) -> None:
    """A line through the medians, with intervals where there are several seeds."""
    x = list(rates)
    axes.plot(x, [end.value for end in ends], marker="o", markersize=4, **style)
    lows = [end.low for end in ends]
    highs = [end.high for end in ends]
    axes.vlines(x, lows, highs, color=style["color"], alpha=0.5)


def _general(rate: float, _: int) -> str:
    return f"{rate:g}"
