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

from jaxalign.report.run.figures import layer_colours
from jaxalign.report.run.summary import diverged, of_layer, over_models
from jaxalign.runs import History
from jaxalign.statistics import Estimate, median_interval
from jaxalign.style.figures import INK, STYLE, line_style

LAST = 50
"""Losses are means over so many steps at the end, for that of one batch says little."""

LOSS, AREA = (
    f"Training loss, mean of the last {LAST} steps",
    "Area under the whole curve  ∫A dτ / ‖y‖²",
)


def sweep(runs: Mapping[tuple[str, float], History]) -> Figure:
    """Of {(optimizer, step size): run}, over the step size: the training loss at the end, and every
    layer's area over ‖y‖².

    Of one optimizer the two panels are side by side; several have a column each.
    """
    optimizers = list(dict.fromkeys(optimizer for optimizer, _ in runs))
    several = len(optimizers) > 1
    with matplotlib.rc_context(STYLE):
        figure = Figure(
            figsize=(2.5 + 3.6 * len(optimizers), 7.2) if several else (10, 4.2),
            layout="constrained",
        )
        panels = (
            figure.subplots(2, len(optimizers), sharey="row")
            if several
            else figure.subplots(1, 2)[:, None]
        )
        for optimizer, (loss, area) in zip(optimizers, panels.T, strict=True):
            _over_rates(
                loss,
                area,
                {rate: run for (name, rate), run in sorted(runs.items()) if name == optimizer},
            )
            if several:
                loss.set_title(optimizer)
        for axes, told in zip(panels[:, 0], (LOSS, AREA), strict=True):
            axes.set_ylim(bottom=0)
            if several:
                axes.set_ylabel(told)
            else:
                axes.set_title(told)
        figure.legend(handles=panels[1, 0].lines, loc="outside right center", fontsize=9)
    return figure


def _over_rates(loss: Axes, area: Axes, runs: Mapping[float, History]) -> None:
    first, seeds = next(iter(runs.values())), [over_models(run) for run in runs.values()]
    _line(loss, runs, [_last_loss(run) for run in runs.values()], {"color": INK})
    for name, colour in layer_colours(first).items():
        ends = [of_layer(s, name).map(lambda r: r.area[-1] / first.total) for s in seeds]
        _line(area, runs, ends, {"color": colour, "label": name, **line_style(name)})
    for axes in (loss, area):
        axes.set(xlabel="step size", xscale="log")
        axes.xaxis.set_major_locator(FixedLocator(list(runs)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))


def _last_loss(history: History) -> Estimate:
    """Of every model the mean over its last steps, and over the models that did not diverge the
    median of those.
    """
    each = np.delete(np.atleast_1d(history.loss[-LAST:].mean(axis=0)), diverged(history))
    return (
        median_interval(each)
        if len(each) and np.isfinite(each).all()
        else Estimate(np.nan, np.nan, np.nan, len(each))
    )


def _line(
    axes: Axes, rates: Iterable[float], ends: Sequence[Estimate], style: dict[str, Any]
) -> None:
    """A line through the medians, with intervals where there are several seeds."""
    x = list(rates)
    axes.plot(x, [e.value for e in ends], marker="o", markersize=4, **style)
    axes.vlines(x, [e.low for e in ends], [e.high for e in ends], color=style["color"], alpha=0.5)
