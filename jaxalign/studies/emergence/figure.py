"""The picture of emergence: every cell before and after training, and on held-out rows."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from jaxalign.statistics import mean_interval
from jaxalign.studies.emergence.table import of_span
from jaxalign.studies.shared.held_out import HELD_OUT, ROWS, TRAINED_ON
from jaxalign.style.figures import FAINT, INK, MUTED, STYLE
from jaxalign.style.layout import WIDE, Layout, at_the_left, grid, label_below, set_title
from jaxalign.style.legends import labelled, legend_of

BEFORE = "#9aa3af"
AFTER = "#0072b2"
AREA = "area of the last hidden layer, ∫A dτ / (‖Py‖²√n), between 0 and 1"
Line = tuple[str, str]
"""Architecture and optimizer."""


def figure(config: Any, table: DataFrame, layout: Layout = WIDE) -> Figure:
    """A panel per data set, a line per cell: the last hidden layer before and after training.

    Points are means over seeds, with 95 % intervals.
    """
    problems = table["problem"].unique()
    # Lines of one architecture follow one another, both in the order of the table.
    architectures = table["architecture"].unique()
    optimizers = table["optimizer"].unique()
    measured = set(table.groupby(["architecture", "optimizer"]).groups)
    lines = [(a, o) for a in architectures for o in optimizers if (a, o) in measured]
    height = 0.8 + _line_height(lines) * len(lines)
    with matplotlib.rc_context(STYLE):
        drawing, panels = grid([(height,)] * len(problems), layout, share_y=True)
        for axes, problem in zip(panels[0], problems, strict=True):
            of_problem = table[table["problem"] == problem]
            _panel(axes, dict(list(of_problem.groupby(["architecture", "optimizer"]))), lines)
            axes.set(xlim=(0, 1), xticks=(0, 0.25, 0.5, 0.75))
            axes.set(xticklabels=("0", ".25", ".5", ".75"))
            set_title(axes, problem)
            if at_the_left(axes):
                _line_names(axes, lines)
        label_below(drawing, AREA)
        legend_of(drawing, labelled(*panels[0]))
    return drawing


def _panel(axes: Axes, cells: Mapping[Hashable, DataFrame], lines: Sequence[Line]) -> None:
    for y, line in enumerate(lines):
        if line in cells:
            _cell(axes, y, cells[line])
    for edge in _edges(lines):
        axes.axhline(edge, color=MUTED, linewidth=0.6)
    axes.grid(visible=False, axis="y")


def _cell(axes: Axes, y: int, cell: DataFrame) -> None:
    last = of_span(cell[cell["last"] & (cell[ROWS] == TRAINED_ON)])
    if not np.isfinite(last["trained"]).all():
        axes.annotate("diverged", (0.02, y), va="center", fontsize=9, color=MUTED)
        return
    before = mean_interval(last["untrained"])
    after = mean_interval(last["trained"])
    others = of_span(cell[cell["last"] & (cell[ROWS] == HELD_OUT)])
    ends = [before.value, after.value]
    axes.plot(ends, [y, y], color=FAINT, linewidth=3, solid_capstyle="round", zorder=1)
    axes.plot(before.value, y, "o", mfc="white", mec=BEFORE, ms=5, label="untrained", zorder=3)
    axes.errorbar(
        after.value,
        y,
        xerr=[[after.value - after.low], [after.high - after.value]],
        fmt="o",
        color=AFTER,
        ms=4.5,
        lw=1.4,
        label="trained, 95 % interval",
    )
    axes.plot(
        others["trained"].mean(),
        y,
        "|",
        color=INK,
        ms=8,
        mew=1.4,
        label="trained, on held-out rows",
        zorder=2,
    )


def _line_names(axes: Axes, lines: Sequence[Line]) -> None:
    """Optimizers at the ticks, architectures left of them, in bold."""
    axes.set_yticks(range(len(lines)), [optimizer for _, optimizer in lines], fontsize=9)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    for architecture in dict.fromkeys(architecture for architecture, _ in lines):
        places = [y for y, line in enumerate(lines) if line[0] == architecture]
        axes.annotate(
            architecture,
            (0, float(np.mean(places))),
            xycoords=("axes fraction", "data"),
            xytext=(-72, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            rotation=90,
            fontsize=9,
            fontweight="bold",
        )


def _line_height(lines: Sequence[Line]) -> float:
    """In inches; more if there are few optimizers, so that the architecture's name fits."""
    return max(0.19, 1.1 * len({architecture for architecture, _ in lines}) / len(lines))


def _edges(lines: Sequence[Line]) -> list[float]:
    """The places between two architectures."""
    return [y + 0.5 for y in range(len(lines) - 1) if lines[y][0] != lines[y + 1][0]]
