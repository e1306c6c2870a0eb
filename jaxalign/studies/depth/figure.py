"""The picture of depth: the last hidden layer's area by depth of the network, with the nulls."""

from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from jaxalign._features import INPUT
from jaxalign.statistics import mean_interval
from jaxalign.studies.depth.table import by_depth, last_layer
from jaxalign.studies.shared.held_out import HELD_OUT, TRAINED_ON, part
from jaxalign.style.figures import MUTED, STYLE
from jaxalign.style.layout import WIDE, Layout, grid, label_rows, set_title
from jaxalign.style.legends import labelled, legend_of

TRAINED = "#0072b2"
RANDOM = "#d55e00"
AT_LOSS = "#009e73"
HEIGHT = 3.6


def figure(config: Any, table: DataFrame, layout: Layout = WIDE) -> Figure:
    """A panel per data set: means over seeds with 95 % intervals."""
    problems = table["problem"].unique()
    with matplotlib.rc_context(STYLE):
        drawing, panels = grid([(HEIGHT,)] * len(problems), layout, share_y=True)
        for axes, problem in zip(panels[0], problems, strict=True):
            _panel(axes, table[table["problem"] == problem])
            axes.set(xlabel="hidden layers")
            set_title(axes, problem)
        label_rows(panels, ["area of the last hidden layer\n∫A dτ / (‖y‖²√n)"])
        # Panels share this axis: its limit is set once all are drawn.
        panels[0, 0].set(ylim=(0, None))
        legend_of(drawing, labelled(panels[0, 0]))
    return drawing


def _panel(axes: Axes, table: DataFrame) -> None:
    known = part(table, TRAINED_ON)
    real = known[known["labels"] == "real"]
    random = known[known["labels"] == "random"]

    def line(rows, value, label, **style):
        # A depth where a seed diverged, or did not come down to the loss, has no point.
        share = by_depth(last_layer(rows), value).dropna(axis="columns")
        mean = mean_interval(share)
        spread = [mean.value - mean.low, mean.high - mean.value]
        axes.errorbar(share.columns, mean.value, yerr=spread, label=label, ms=5, **style)

    line(real, "trained", "after equal steps", color=TRAINED, marker="o")
    line(real, "at_loss", "at equal training loss", color=AT_LOSS, marker="D")
    held_out = part(table[table["labels"] == "real"], HELD_OUT)
    line(
        held_out,
        "trained",
        "after equal steps, on held-out rows",
        color=TRAINED,
        marker="s",
        linestyle="--",
        alpha=0.7,
    )
    line(real, "untrained", "untrained", color=MUTED, marker="o", mfc="white")
    if len(random):
        line(random, "trained", "random labels, after equal steps", color=RANDOM, marker="^")
    inputs = real.loc[real["layer"] == INPUT, "trained"].mean()
    axes.axhline(inputs, color=MUTED, linestyle=":", linewidth=1.4, label="inputs")
    axes.set_xticks(sorted(table["depth"].unique()))
