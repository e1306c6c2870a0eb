"""The picture of random labels: last layer and loss by step, all layers before and after."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from jaxalign.studies.labels.design import FRESH, OWN, TRUE
from jaxalign.style.figures import INK, MUTED, STYLE

TRUE_COLOUR = "#1b6ca8"
RANDOM_COLOUR = "#c8553d"
AREA = "∫A dτ / (‖y‖²√n)"
LABELS = (f"last hidden layer\n{AREA}", "training loss, nats", f"each layer\n{AREA}")
GUESSING = float(np.log(2))


def figure(config: Any, table: DataFrame) -> Figure:
    """A column per problem and architecture: area by step, loss by step, area by layer.

    Bands are the range over networks.
    """
    kinds = table.groupby(["problem", "architecture"], sort=False)
    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=(3.9 * len(kinds) + 0.6, 10.2), layout="constrained")
        panels = drawing.subplots(3, len(kinds), squeeze=False, sharey="row")
        for (area, loss, layers), ((problem, architecture), rows) in zip(
            panels.T, kinds, strict=True
        ):
            own = rows[(rows["asked"] == OWN) & rows["last"]]
            _by_step(area, own, "area")
            _by_step(loss, own, "loss")
            loss.axhline(GUESSING, color=MUTED, linestyle=":", linewidth=1.2)
            _by_layer(layers, rows)
            area.set_title(f"{architecture}\n{problem}")
        for axes, label in zip(panels[:, 0], LABELS, strict=True):
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        _name_lines(*panels[:, 0])
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


def _name_lines(area: Axes, loss: Axes, layers: Axes) -> None:
    """Names of the lines, in the first column."""
    trained = {"true labels": (TRUE_COLOUR, "-"), "random labels": (RANDOM_COLOUR, "-")}
    _legend(area, trained)
    loss.annotate(
        "guessing",
        (1, GUESSING),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        color=MUTED,
        fontsize=9,
    )
    references = {
        "random labels, untrained": (RANDOM_COLOUR, "--"),
        "random labels never trained on": (MUTED, ":"),
    }
    _legend(layers, {**trained, **references})


def _legend(axes: Axes, lines: dict[str, tuple[str, str]]) -> None:
    handles = [
        axes.plot([], [], style, color=colour, label=name)[0]
        for name, (colour, style) in lines.items()
    ]
    axes.legend(handles=handles, fontsize=9, loc="best")
