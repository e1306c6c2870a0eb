"""The picture of random labels: last layer and loss by step, all layers before and after."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pandas import DataFrame

from jaxalign.studies.labels.design import FRESH, OWN, TRUE
from jaxalign.style.figures import INK, MUTED, STYLE
from jaxalign.style.layout import WIDE, Layout, grid, label_rows, set_title
from jaxalign.style.legends import legend_of

TRUE_COLOUR = "#1b6ca8"
RANDOM_COLOUR = "#c8553d"
AREA = "∫A dτ / (‖y‖²√n)"
LABELS = (f"last hidden layer\n{AREA}", "training loss, nats", f"each layer\n{AREA}")
HEIGHTS = (2.6, 2.4, 2.9)
GUESSING = float(np.log(2))


def figure(config: Any, table: DataFrame, layout: Layout = WIDE) -> Figure:
    """A column per problem and architecture: area by step, loss by step, area by layer.

    Bands are the range over networks.
    """
    kinds = table.groupby(["problem", "architecture"], sort=False)
    with matplotlib.rc_context(STYLE):
        drawing, panels = grid([HEIGHTS] * len(kinds), layout, share_y=True)
        for (area, loss, layers), ((problem, architecture), rows) in zip(
            panels.T, kinds, strict=True
        ):
            own = rows[(rows["asked"] == OWN) & rows["last"]]
            _by_step(area, own, "area")
            _by_step(loss, own, "loss")
            loss.axhline(GUESSING, color=MUTED, linestyle=":", linewidth=1.2)
            _by_layer(layers, rows)
            set_title(area, architecture, problem)
        for axes in panels[:, 0]:
            axes.set_ylim(bottom=0)
        label_rows(panels, LABELS)
        _name_lines(drawing, panels[1])
    return drawing


def _by_step(axes: Axes, table: DataFrame, value: str) -> None:
    true = table["labels"] == TRUE
    _band(axes, table[true], "step", value, TRUE_COLOUR, "-")
    _band(axes, table[~true], "step", value, RANDOM_COLOUR, "-")
    axes.set(xlabel="training step")


def _by_layer(axes: Axes, table: DataFrame) -> None:
    # Of true labels only the end is drawn: the figure is about random ones.
    after = table["step"] == table["step"].max()
    before = table["step"] == 0
    true = table["labels"] == TRUE
    own = table["asked"] == OWN
    fresh = table["asked"] == FRESH

    def line(rows, colour, style):
        _band(axes, table[rows], "depth", "area", colour, style)

    line(true & own & after, TRUE_COLOUR, "-o")
    line(~true & own & after, RANDOM_COLOUR, "-o")
    line(~true & own & before, RANDOM_COLOUR, "--")
    line(~true & fresh & after, MUTED, ":")
    names = table["layer"].unique()
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", color=INK)


def _band(axes: Axes, table: DataFrame, over: str, value: str, colour: str, style: str) -> None:
    """The mean and the range over networks, at every value of a column."""
    of_networks = table.groupby(over)[value].agg(["min", "mean", "max"])
    places = of_networks.index
    band: dict[str, Any] = {"color": colour, "alpha": 0.18, "linewidth": 0}
    axes.fill_between(places, of_networks["min"], of_networks["max"], **band)
    axes.plot(places, of_networks["mean"], style, color=colour, markersize=4)


def _name_lines(figure: Figure, losses: Sequence[Axes]) -> None:
    """A legend of all lines; guessing is named in the panels of the loss."""
    for loss in losses:
        loss.annotate(
            "guessing",
            (1, GUESSING),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            color=MUTED,
            fontsize=9,
        )
    styles: dict[str, tuple[str, Any]] = {
        "true labels": (TRUE_COLOUR, "-"),
        "random labels": (RANDOM_COLOUR, "-"),
        "random labels, untrained": (RANDOM_COLOUR, "--"),
        "random labels never trained on": (MUTED, ":"),
    }
    lines = {
        name: Line2D([], [], color=colour, linestyle=style)
        for name, (colour, style) in styles.items()
    }
    legend_of(figure, lines)
