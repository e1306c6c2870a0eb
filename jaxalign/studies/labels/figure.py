"""Of every problem and architecture: the last layer and the loss by step, and all layers before and
after.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxalign.statistics import mean_interval
from jaxalign.studies.framework.study import Row, column, distinct, where
from jaxalign.style.figures import INK, MUTED, STYLE

TRUE, RANDOM = "#1b6ca8", "#c8553d"
AREA = "∫A dτ / (‖y‖²√n)"
LABELS = (f"last hidden layer\n{AREA}", "training loss, nats", f"each layer\n{AREA}")
GUESSING = float(np.log(2))


def figure(config: Any, rows: Sequence[Row]) -> Figure:
    """A column a problem and architecture: area by step, loss by step, area by layer; bands are
    intervals over networks.
    """
    kinds = distinct(rows, "problem", "architecture")
    with matplotlib.rc_context(STYLE):
        drawn = Figure(figsize=(3.9 * len(kinds) + 0.6, 10.2), layout="constrained")
        panels = drawn.subplots(3, len(kinds), squeeze=False, sharey="row")
        for (area, loss, layers), (problem, architecture) in zip(panels.T, kinds, strict=True):
            held = where(rows, {"problem": problem, "architecture": architecture})
            _by_step(area, where(held, {"asked": "trained on", "last": True}), "area")
            _by_step(loss, where(held, {"asked": "trained on", "last": True}), "loss")
            loss.axhline(GUESSING, color=MUTED, linestyle=":", linewidth=1.2)
            _by_layer(layers, held)
            area.set_title(f"{architecture}\n{problem}")
        for axes, label in zip(panels[:, 0], LABELS, strict=True):
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        _name_lines(*panels[:, 0])
    return drawn


def _by_step(axes: Axes, rows: Sequence[Row], value: str) -> None:
    for colour, held in _by_labels(rows).items():
        _band(axes, held, "step", value, colour, "-")
    axes.set(xlabel="training step")


def _by_layer(axes: Axes, rows: Sequence[Row]) -> None:
    last = max(column(rows, "step"))
    random = _by_labels(rows)[RANDOM]
    _band(
        axes,
        where(_by_labels(rows)[TRUE], {"step": last, "asked": "trained on"}),
        "depth",
        "area",
        TRUE,
        "-o",
    )
    _band(axes, where(random, {"step": last, "asked": "trained on"}), "depth", "area", RANDOM, "-o")
    _band(axes, where(random, {"step": 0, "asked": "trained on"}), "depth", "area", RANDOM, "--")
    _band(
        axes,
        where(random, {"step": last, "asked": "never trained on"}),
        "depth",
        "area",
        MUTED,
        ":",
    )
    names = distinct(rows, "layer")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", color=INK)


def _name_lines(area: Axes, loss: Axes, layers: Axes) -> None:
    """Names of the lines, in the first column."""
    _legend(area, {"true labels": (TRUE, "-"), "random labels": (RANDOM, "-")})
    loss.annotate(
        "guessing",
        (1, GUESSING),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        color=MUTED,
        fontsize=9,
    )
    styles = {
        "true labels": (TRUE, "-"),
        "random labels": (RANDOM, "-"),
        "random labels, untrained": (RANDOM, "--"),
    }
    _legend(layers, {**styles, "random labels never trained on": (MUTED, ":")})


def _legend(axes: Axes, lines: dict[str, tuple[str, str]]) -> None:
    handles = [
        axes.plot([], [], style, color=colour, label=name)[0]
        for name, (colour, style) in lines.items()
    ]
    axes.legend(handles=handles, fontsize=9, loc="best")


def _by_labels(rows: Sequence[Row]) -> dict[str, list[Row]]:
    return {
        TRUE: [row for row in rows if row["labels"] == "true"],
        RANDOM: [row for row in rows if row["labels"] != "true"],
    }


def _band(axes: Axes, rows: Sequence[Any], over: str, value: str, colour: str, style: str) -> None:
    places = sorted(set(column(rows, over)))
    found = [mean_interval(column(where(rows, {over: place}), value)) for place in places]
    axes.fill_between(
        places,
        [e.low for e in found],
        [e.high for e in found],
        color=colour,
        alpha=0.18,
        linewidth=0,
    )
    axes.plot(places, [e.value for e in found], style, color=colour, markersize=4)
