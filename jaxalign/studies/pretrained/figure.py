"""The picture of pretrained networks: their layers, and what they are compared with."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from jaxalign.studies.pretrained.design import PUBLISHED, UNTRAINED
from jaxalign.style.figures import INK, MUTED, STYLE

COLOURS = {PUBLISHED: "#1b6ca8", UNTRAINED: "#8a8f98"}
MARKS = {PUBLISHED: "o", UNTRAINED: "s"}
REFERENCE_COLOURS = ("#b58900", "#c8553d")
"""Of the raw samples, and of handcrafted features."""
LEGEND = (
    "below: the published network's last layer, and of every untrained one the highest; "
    "intervals are over samples, 95 % of permuted labels lie left of the dotted line"
)
AREA = "area  ∫A dτ / (‖y‖²√n)"


class Style(NamedTuple):
    """How a reference without a sequence of layers is drawn."""

    colour: str
    line: str
    mark: str
    fill: str


def figure(config: Any, table: DataFrame) -> Figure:
    """A column per network: above, layers on every task, thin, and their mean; below, what is
    compared, on every task.
    """
    networks = table.groupby("network", sort=False)
    compared = table[table["decides"] | (table["representation"] == UNTRAINED)]
    highest = 1.03 * compared["high"].max()
    heights = (4.2, 0.75 * networks["task"].nunique().max() + 0.6)
    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=(5.2 * len(networks), sum(heights) + 1), layout="constrained")
        panels = drawing.subplots(2, len(networks), squeeze=False, height_ratios=heights)
        for (above, below), (name, rows) in zip(panels.T, networks, strict=True):
            _by_layer(above, rows, name, highest)
            _by_task(below, rows)
            below.set_xlim(0, highest)
        panels[0, 0].set_ylabel(f"{AREA}, mean over tasks")
        drawing.supxlabel(LEGEND, fontsize=9.5, color=MUTED)
    return drawing


def _by_layer(axes: Axes, table: DataFrame, name: str, top: float) -> None:
    labels: list[tuple[float, str, str]] = []
    layers = table[table["depth"] > 0]
    depths = np.sort(layers["depth"].unique())
    for representation, mark in MARKS.items():
        colour = COLOURS[representation]
        rows = layers[layers["representation"] == representation]
        # (depths, tasks), the mean over seeds.
        areas = rows.pivot_table(index="depth", columns="task", values="area")
        mean = areas.mean(axis=1)
        axes.plot(areas.index, areas, color=colour, linewidth=0.7, alpha=0.4)
        axes.plot(areas.index, mean, color=colour, marker=mark, markersize=3.5)
        labels.append((mean.iloc[-1], representation, colour))
    for reference, style in _references(table).items():
        level = table.loc[table["representation"] == reference, "area"].mean()
        axes.axhline(level, color=style.colour, linestyle=style.line, linewidth=1.3)
        labels.append((level, reference, style.colour))
    chance = table.loc[_last_published(table), "null"].mean()
    axes.axhline(chance, color=MUTED, linestyle=":", linewidth=1.3)
    labels.append((chance, "permuted labels", MUTED))
    _name_lines(axes, labels, top)
    axes.set(title=name, xlabel="layer, from the first to the pooled features", ylim=(0, top))
    axes.set_xlim(depths[0] - 0.3, depths[-1])
    axes.set_xticks([depths[0], depths[len(depths) // 2], depths[-1]])


def _by_task(axes: Axes, table: DataFrame) -> None:
    tasks = table["task"].unique()
    references = _references(table)
    colour = COLOURS[UNTRAINED]
    styles = [
        Style(COLOURS[PUBLISHED], "-", "o", COLOURS[PUBLISHED]),
        *references.values(),
        Style(colour, "-", "s", colour),
    ]
    shifts = np.linspace(-0.3, 0.3, len(styles))
    for place, task in enumerate(tasks):
        rows = table[table["task"] == task]
        published = rows[_last_published(rows)]
        groups = [
            published,
            *(rows[rows["representation"] == reference] for reference in references),
            _highest(rows[rows["representation"] == UNTRAINED]),
        ]
        for shift, group, style in zip(shifts, groups, styles, strict=True):
            _points(axes, place + shift, group, style)
        null = published["null_95"].iloc[0]
        ends = [place - 0.4, place + 0.4]
        axes.plot([null, null], ends, color=MUTED, linestyle=":", linewidth=1.4)
    axes.set_yticks(range(len(tasks)), tasks)
    axes.set(ylim=(len(tasks) - 0.5, -0.5), xlabel=AREA)
    axes.tick_params(axis="y", colors=INK)


def _points(axes: Axes, place: float, rows: DataFrame, style: Style) -> None:
    """Areas with their intervals, those of several seeds a little apart."""
    shifts = np.linspace(-0.05, 0.05, len(rows)) if len(rows) > 1 else np.zeros(1)
    # Matplotlib takes the two sides of an interval as arrays, not as columns.
    low, area, high = rows[["low", "area", "high"]].to_numpy().T
    axes.errorbar(
        area,
        place + shifts,
        xerr=[area - low, high - area],
        fmt=style.mark,
        color=style.colour,
        markerfacecolor=style.fill,
        markersize=4.5,
        elinewidth=1.0,
    )


def _last_published(table: DataFrame) -> Any:
    """Whether each row is the last layer of a published network."""
    return (table["representation"] == PUBLISHED) & table["decides"]


def _highest(table: DataFrame) -> DataFrame:
    """The layer of the largest area of every seed."""
    return table.loc[table.groupby("seed")["area"].idxmax()]


def _references(table: DataFrame) -> dict[str, Style]:
    """What has no sequence of layers: the references, and the untrained network unpooled."""
    names = table.loc[(table["depth"] == 0) & table["decides"], "representation"].unique()
    without_network = [name for name in names if not name.startswith(UNTRAINED)]
    styles = {
        name: Style(colour, "--", "D", colour)
        for name, colour in zip(without_network, REFERENCE_COLOURS, strict=True)
    }
    unpooled = Style(COLOURS[UNTRAINED], "-.", "s", "white")
    return {**styles, **{name: unpooled for name in names if name not in styles}}


def _name_lines(axes: Axes, labels: Sequence[tuple[float, str, str]], top: float) -> None:
    """Names at the right end of lines, in their order, with a least distance."""
    distance = 0.052 * top
    place = -np.inf
    for level, name, colour in sorted(labels):
        place = max(level, place + distance)
        axes.annotate(
            name,
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=9.5,
            annotation_clip=False,
        )
