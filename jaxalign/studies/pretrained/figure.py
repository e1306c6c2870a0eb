"""The picture of pretrained networks: their layers, and what they are compared with."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from jaxalign.studies.pretrained.choice import Layers, chosen_layers
from jaxalign.studies.pretrained.design import AT, DECIDING, PUBLISHED, THRESHOLD, UNTRAINED
from jaxalign.studies.pretrained.leads import BEST, LAST, compared_values, of_layer, ways
from jaxalign.style.figures import INK, STYLE
from jaxalign.style.layout import (
    WIDE,
    Layout,
    at_the_left,
    grid,
    label_below,
    label_rows,
    set_title,
)
from jaxalign.style.legends import apart, labelled, legend_of

BLUE = "#1b6ca8"
GREY = "#8a8f98"
REFERENCE_COLOURS = ("#b58900", "#dcc36a", "#c8553d")
"""Of what needs no network, in the order of the table."""
LINE = 0.07
"""The height of a threshold's name, as a share of ‖y‖²."""
CURVES = 3.8
"""Inches of the panels above, with their legend."""
TASK = 0.38
"""Inches of a task, whose name has two lines."""
FILLS = {LAST: "none", BEST: "full"}
LEGEND = (
    "above: means over tasks; below: every task; filled: the layers that were the best on other "
    "classes, hollow: the last layers; of untrained networks the highest seed"
)


def figure(config: Any, table: DataFrame, layout: Layout = WIDE) -> Figure:
    """A column per network: A(τ)/‖y‖² by layer for several τ; then both deciding measures of all
    that is compared, on every task.
    """
    layers = chosen_layers()
    networks = table.groupby("network", sort=False)
    below = networks["task"].nunique() * TASK + 0.8
    heights = [(CURVES, *[height] * len(DECIDING)) for height in below]
    with matplotlib.rc_context(STYLE):
        # Names of tasks leave a narrow page room for one column.
        drawing, panels = grid(heights, layout, across=4 if layout is WIDE else 2)
        marks: dict[str, Artist] = {}
        for (above, *below), (name, rows) in zip(panels.T, networks, strict=True):
            kind = rows["kind"].iloc[0]
            set_title(above, name, kind)
            _by_layer(above, rows[rows["kind"] == kind], config.thresholds, layers)
            for axes, measure in zip(below, DECIDING, strict=True):
                _by_task(axes, rows, measure, layers)
                marks |= labelled(axes)
        for row in panels[1:]:
            _name_tasks_once(row, list(networks["task"].unique()))
        label_rows(panels[:1], ["A(τ)/‖y‖²"])
        label_below(drawing, LEGEND)
        legend_of(drawing, marks)
    return drawing


def _by_layer(axes: Axes, table: DataFrame, thresholds: Sequence[float], layers: Layers) -> None:
    of_networks = table[table["depth"] > 0]
    means = of_networks.groupby(["representation", "depth"]).mean(numeric_only=True)
    published = means.loc[PUBLISHED]
    # Curves of higher thresholds are lower, and so are their names.
    thresholds = sorted(thresholds, reverse=True)
    last = [published[f"at_{tau:g}"].iloc[-1] for tau in thresholds]
    strengths = np.linspace(1, 0.3, len(thresholds))
    for tau, strength, height in zip(thresholds, strengths, apart(last, LINE), strict=True):
        values = published[f"at_{tau:g}"]
        width = 2.4 if tau == THRESHOLD else 1.1
        axes.plot(values.index, values, color=BLUE, alpha=strength, linewidth=width)
        axes.annotate(
            f"{tau:g}√n",
            (values.index[-1], height),
            xytext=(6, 0),
            textcoords="offset points",
            color=BLUE,
            va="center",
            fontsize=9,
        )
    untrained = means.loc[UNTRAINED][AT]
    label = f"{UNTRAINED}, {THRESHOLD:g}√n"
    axes.plot(untrained.index, untrained, color=GREY, linestyle="--", label=label)
    for way in ways(table, layers):
        layer = of_layer(table, layers, way, PUBLISHED, AT)
        place, name = layer[["depth", "layer"]].iloc[0]
        label = f"{way}, {name}"
        axes.plot(place, layer[AT].mean(), "o", color=BLUE, fillstyle=FILLS[way], label=label)
    # The legend lies above the curves.
    axes.legend(loc="upper left", borderaxespad=0, fontsize=9, handlelength=1.2)
    axes.set(xlabel="layer, first to last", ylim=(0, 1.36), yticks=np.linspace(0, 1, 6))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _by_task(axes: Axes, table: DataFrame, measure: str, layers: Layers) -> None:
    tasks = table["task"].unique()
    representations = table.loc[table["depth"] == 0, "representation"].unique()
    references = dict(zip(representations, REFERENCE_COLOURS, strict=False))
    colours = {PUBLISHED: BLUE, UNTRAINED: GREY, **references}
    shifts = dict(zip(colours, np.linspace(-0.3, 0.3, len(colours)), strict=True))
    for way in ways(table, layers):
        values = DataFrame(
            [compared_values(table[table["task"] == task], layers, way, measure) for task in tasks]
        )
        for name, colour in colours.items():
            places = np.arange(len(tasks)) + shifts[name]
            mark = "D" if name in references else "o"
            # What needs no network has no layers, and one mark.
            fill = FILLS[way if name not in references else BEST]
            label = name if way == LAST else None
            axes.plot(
                values[name], places, mark, color=colour, fillstyle=fill, markersize=5, label=label
            )
    names = [task.replace(" (", "\n(") for task in tasks]
    axes.set_yticks(range(len(tasks)), names, fontsize=9)
    axes.set(ylim=(len(tasks) - 0.5, -0.5), xlim=(0, None), xlabel=DECIDING[measure])
    axes.tick_params(axis="y", colors=INK)


def _name_tasks_once(row: Sequence[Axes], tasks: Sequence[np.ndarray]) -> None:
    """Name tasks left of the first of neighbours that are measured on them."""
    for axes, (before, own) in zip(row[1:], pairwise(tasks), strict=True):
        if not at_the_left(axes) and np.array_equal(before, own):
            axes.tick_params(axis="y", labelleft=False)
