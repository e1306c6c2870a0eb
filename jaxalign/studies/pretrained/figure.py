"""The picture of pretrained networks: their layers, and what they are compared with."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from jaxalign.studies.pretrained.choice import Layers, chosen_layers
from jaxalign.studies.pretrained.design import AT, DECIDING, PUBLISHED, THRESHOLD, UNTRAINED
from jaxalign.studies.pretrained.leads import BEST, LAST, compared_values, of_layer, ways
from jaxalign.style.figures import INK, STYLE
from jaxalign.style.layout import (
    NARROW,
    WIDE,
    Layout,
    at_the_left,
    grid,
    label_below,
    label_rows,
    set_title,
)
from jaxalign.style.legends import apart, labelled, legend_of
from jaxalign.style.names import wrapped

BLUE = "#1b6ca8"
GREY = "#8a8f98"
REFERENCE_COLOURS = ("#b58900", "#dcc36a", "#c8553d")
"""Of what needs no network, in the order of the table."""


class Sizes(NamedTuple):
    """What a page has room for.

    Attributes:
      curves: inches of the panels above, with their legend.
      top: where their axis ends, with room for the legend above the curves.
      line: the height of a threshold's name, as a share of ‖y‖².
      task: inches of a task.
      ticks_below: inches of the axis below the tasks, with its name.
      label: characters of a measure's name in a line.
      ticks: numbers at most on the axis of a measure.
    """

    curves: float
    top: float
    line: float
    task: float
    ticks_below: float
    label: int
    ticks: int | Literal["auto"]


SIZES = {
    WIDE.name: Sizes(3.8, 1.36, 0.07, 0.38, 1.0, 21, "auto"),
    NARROW.name: Sizes(2.8, 1.5, 0.09, 0.25, 1.15, 10, 2),
}
"""By the layout: names of tasks have two lines on a wide page, and one on a narrow one."""
FILLS = {LAST: "none", BEST: "full"}
LEGEND = (
    "above: means over tasks; below: every task; filled: the layers that were the best on other "
    "classes, hollow: the last layers; of untrained networks the highest seed"
)


def figure(config: Any, table: DataFrame, layout: Layout = WIDE) -> Figure:
    """Per network: A(τ)/‖y‖² by layer for several τ; then both deciding measures of all that is
    compared, on every task. A wide page has a column per network; on a narrow one, whose room is
    taken by the names of tasks, networks follow each other with both measures side by side.
    """
    layers = chosen_layers()
    networks = table.groupby("network", sort=False)
    sizes = SIZES[layout.name]
    below = networks["task"].nunique() * sizes.task + sizes.ticks_below
    with matplotlib.rc_context(STYLE):
        drawing, panels = _panels(list(below), layout)
        marks: dict[str, Artist] = {}
        for (above, *below), (name, rows) in zip(panels.T, networks, strict=True):
            kind = rows["kind"].iloc[0]
            set_title(above, name, kind)
            _by_layer(above, rows[rows["kind"] == kind], config.thresholds, layers, sizes)
            for axes, measure in zip(below, DECIDING, strict=True):
                _by_task(axes, rows, measure, layers)
                _name_measure(axes, measure, sizes)
                marks |= labelled(axes)
        tasks = list(networks["task"].unique())
        for row in panels[1:]:
            if layout is WIDE:
                _name_in_two_lines(row, tasks)
            else:
                _name_at_the_left(row, tasks)
        label_rows(panels[:1], ["A(τ)/‖y‖²"])
        sources = "" if layout is WIDE else _sources(table["task"].unique())
        label_below(drawing, LEGEND + sources)
        legend_of(drawing, marks)
    return drawing


def _panels(below: Sequence[float], layout: Layout) -> tuple[Figure, np.ndarray]:
    """The figure, and (3, networks) its panels: curves, then the tasks in each measure, so many
    inches high.
    """
    above = SIZES[layout.name].curves
    if layout is WIDE:
        return grid([(above, *[height] * len(DECIDING)) for height in below], layout, across=4)
    heights = [inches for height in below for inches in (above, height)]
    engine = ConstrainedLayoutEngine(h_pad=0.06)
    drawing = Figure(figsize=(layout.width, sum(heights)), layout=engine)
    places = drawing.add_gridspec(len(heights), 1, height_ratios=heights)
    columns = []
    for i in range(0, len(heights), 2):
        measures = places[i + 1].subgridspec(1, len(DECIDING))
        shown = [measures[0, j] for j in range(len(DECIDING))]
        columns.append([drawing.add_subplot(place) for place in (places[i], *shown)])
    return drawing, np.array(columns, object).T


def _by_layer(
    axes: Axes, table: DataFrame, thresholds: Sequence[float], layers: Layers, sizes: Sizes
) -> None:
    of_networks = table[table["depth"] > 0]
    means = of_networks.groupby(["representation", "depth"]).mean(numeric_only=True)
    published = means.loc[PUBLISHED]
    # Curves of higher thresholds are lower, and so are their names.
    thresholds = sorted(thresholds, reverse=True)
    last = [published[f"at_{tau:g}"].iloc[-1] for tau in thresholds]
    strengths = np.linspace(1, 0.3, len(thresholds))
    for tau, strength, height in zip(thresholds, strengths, apart(last, sizes.line), strict=True):
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
    axes.set(xlabel="layer, first to last", ylim=(0, sizes.top), yticks=np.linspace(0, 1, 6))
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
    axes.set(ylim=(len(tasks) - 0.5, -0.5), xlim=(0, None))
    axes.tick_params(axis="y", colors=INK)


def _name_measure(axes: Axes, measure: str, sizes: Sizes) -> None:
    axes.set_xlabel(wrapped(DECIDING[measure], sizes.label))
    axes.xaxis.set_major_locator(MaxNLocator(sizes.ticks, steps=[1, 2, 5, 10]))


def _name_tasks(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=9)


def _name_at_the_left(row: Sequence[Axes], tasks: Sequence[np.ndarray]) -> None:
    """Name tasks without their sources, which the text below tells."""
    for axes, own in zip(row, tasks, strict=True):
        _name_tasks(axes, [task.partition(" (")[0] for task in own])
        axes.tick_params(axis="y", labelleft=at_the_left(axes))


def _sources(tasks: Sequence[str]) -> str:
    """Which tasks are of which data, where their names say so."""
    of_sources: dict[str, list[str]] = {}
    for task in tasks:
        name, has_source, source = task.rstrip(")").partition(" (")
        if has_source:
            of_sources.setdefault(source, []).append(name)
    return "".join(
        f"; tasks of {source}: {', '.join(names)}" for source, names in of_sources.items()
    )


def _name_in_two_lines(row: Sequence[Axes], tasks: Sequence[np.ndarray]) -> None:
    """Name tasks left of the first of neighbours that are measured on them."""
    for axes, own in zip(row, tasks, strict=True):
        _name_tasks(axes, [task.replace(" (", "\n(") for task in own])
    for axes, (before, own) in zip(row[1:], pairwise(tasks), strict=True):
        if not at_the_left(axes) and np.array_equal(before, own):
            axes.tick_params(axis="y", labelleft=False)
