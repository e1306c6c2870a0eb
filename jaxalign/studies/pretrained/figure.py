"""The picture of pretrained networks: their layers, and what they are compared with."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from jaxalign.studies.pretrained.choice import Layers, chosen_layers
from jaxalign.studies.pretrained.design import AT, DECIDING, PUBLISHED, THRESHOLD, UNTRAINED
from jaxalign.studies.pretrained.leads import BEST, LAST, compared_values, of_layer, ways
from jaxalign.style.figures import INK, MUTED, STYLE

BLUE = "#1b6ca8"
GREY = "#8a8f98"
REFERENCE_COLOURS = ("#b58900", "#dcc36a", "#c8553d")
"""Of what needs no network, in the order of the table."""
FILLS = {LAST: "none", BEST: "full"}
LEGEND = (
    "above: means over tasks; below: every task; filled: the layers that were the best on other "
    "classes, hollow: the last layers; of untrained networks the highest seed"
)


def figure(config: Any, table: DataFrame) -> Figure:
    """A column per network: A(τ)/‖y‖² by layer for several τ; then both deciding measures of all
    that is compared, on every task.
    """
    layers = chosen_layers()
    networks = table.groupby("network", sort=False)
    heights = (4.4, *[0.3 * networks["task"].nunique().max() + 0.8] * len(DECIDING))
    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=(5.2 * len(networks), sum(heights) + 1), layout="constrained")
        panels = drawing.subplots(len(heights), len(networks), squeeze=False, height_ratios=heights)
        for (above, *below), (name, rows) in zip(panels.T, networks, strict=True):
            kind = rows["kind"].iloc[0]
            above.set_title(f"{name}, {kind}")
            _by_layer(above, rows[rows["kind"] == kind], config.thresholds, layers)
            for axes, measure in zip(below, DECIDING, strict=True):
                _by_task(axes, rows, measure, layers)
        for row in panels[1:]:
            _say_once(row)
        panels[0, 0].set_ylabel("A(τ)/‖y‖²")
        drawing.supxlabel(LEGEND, fontsize=9.5, color=MUTED)
    return drawing


def _by_layer(axes: Axes, table: DataFrame, thresholds: Sequence[float], layers: Layers) -> None:
    of_networks = table[table["depth"] > 0]
    means = of_networks.groupby(["representation", "depth"]).mean(numeric_only=True)
    published = means.loc[PUBLISHED]
    strengths = np.linspace(0.3, 1, len(thresholds))
    for tau, strength in zip(thresholds, strengths, strict=True):
        values = published[f"at_{tau:g}"]
        width = 2.4 if tau == THRESHOLD else 1.1
        axes.plot(values.index, values, color=BLUE, alpha=strength, linewidth=width)
        axes.annotate(
            f"{tau:g}√n",
            (values.index[-1], values.iloc[-1]),
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
    axes.legend(loc="upper left", borderaxespad=0)
    axes.set(
        xlabel="layer, from the first to the last", ylim=(0, 1.36), yticks=np.linspace(0, 1, 6)
    )


def _by_task(axes: Axes, table: DataFrame, measure: str, layers: Layers) -> None:
    tasks = table["task"].unique()
    names = table.loc[table["depth"] == 0, "representation"].unique()
    references = dict(zip(names, REFERENCE_COLOURS, strict=False))
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
    axes.set_yticks(range(len(tasks)), tasks)
    axes.set(ylim=(len(tasks) - 0.5, -0.5), xlim=(0, None), xlabel=DECIDING[measure])
    axes.tick_params(axis="y", colors=INK)


def _say_once(row: Sequence[Axes]) -> None:
    """Name tasks left of the first network that is measured on them, marks right of the last."""
    named = [_tasks_of(axes) for axes in row]
    for i, axes in enumerate(row):
        if i > 0 and named[i] == named[i - 1]:
            axes.tick_params(axis="y", labelleft=False)
        if i + 1 == len(row) or named[i] != named[i + 1]:
            axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


def _tasks_of(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]
