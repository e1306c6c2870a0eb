"""What a step size does: the last loss and every layer's area, side by side over all step sizes of a sweep."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from jaxalign.report.figures import INK, STYLE, layer_colours, line_style
from jaxalign.report.summary import diverged, of_layer, over_models
from jaxalign.statistics import Estimate, median_interval
from jaxalign.training.history import History

LAST = 50
"""Losses are means over so many steps at the end, for that of one batch says little."""


def sweep(rates: Sequence[float], histories: Sequence[History]) -> Figure:
    """Two panels over the step size: the training loss at the end, and the area over ‖y‖² of every layer."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 4.2), layout="constrained")
        loss, area = figure.subplots(1, 2)
        seeds = [over_models(history) for history in histories]
        _over_rates(loss, rates, [_last_loss(history) for history in histories], {"color": INK})
        for name, colour in layer_colours(histories[0]).items():
            ends = [of_layer(s, name).map(lambda r: r.area[-1] / histories[0].total) for s in seeds]
            _over_rates(area, rates, ends, {"color": colour, "label": name, **line_style(name)})
        loss.set(title=f"Training loss, mean of the last {LAST} steps", ylim=(0, None))
        area.set(title="Area under the whole curve  ∫A dτ / ‖y‖²", ylim=(0, None))
        for axes in (loss, area):
            axes.set(xlabel="step size", xscale="log")
            axes.xaxis.set_major_locator(FixedLocator(list(rates)))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
        area.legend(loc="best", fontsize=9)
    return figure


def _last_loss(history: History) -> Estimate:
    """Of every model the mean over its last steps, and over the models that did not diverge the median of those."""
    each = np.delete(np.atleast_1d(history.loss[-LAST:].mean(axis=0)), diverged(history))
    return median_interval(each) if len(each) and np.isfinite(each).all() else Estimate(np.nan, np.nan, np.nan, len(each))


def _over_rates(axes: Axes, rates: Sequence[float], ends: Sequence[Estimate], style: dict[str, Any]) -> None:
    """A line through the medians, with intervals where there are several seeds."""
    order = np.argsort(rates)
    x, y = np.array(rates)[order], [ends[i] for i in order]
    axes.plot(x, [e.value for e in y], marker="o", markersize=4, **style)
    axes.vlines(x, [e.low for e in y], [e.high for e in y], color=style["color"], alpha=0.5)
