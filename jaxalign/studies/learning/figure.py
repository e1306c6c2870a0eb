"""The picture of learning curves: predictions as lines, fitted heads as points."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from pandas import DataFrame

from jaxalign.studies.learning.design import BEST
from jaxalign.style.figures import INK, MUTED, STYLE

SHADES = (0.1, 0.8)  # of viridis, from the weakest strength to the strongest


def figure(config: Any, table: DataFrame) -> Figure:
    """A row per task and a column per representation: error by number of rows."""
    tasks = table["task"].unique()
    representations = table["representation"].unique()
    with matplotlib.rc_context(STYLE):
        size = (3.1 * len(representations) + 1.6, 3.1 * len(tasks) + 0.6)
        drawing = Figure(figsize=size, layout="constrained")
        panels = drawing.subplots(len(tasks), len(representations), squeeze=False, sharex=True)
        for task, line in zip(tasks, panels, strict=True):
            for representation, axes in zip(representations, line, strict=True):
                rows = table[(table["task"] == task) & (table["representation"] == representation)]
                _curves(axes, rows, config.known)
                axes.set_title(f"{representation}\n{task}")
        for axes in panels[:, 0]:
            axes.set_ylabel("error per row")
        for axes in panels[-1]:
            axes.set_xlabel("rows of the head, n")
        handles, names = panels[0, 0].get_legend_handles_labels()
        drawing.legend(
            handles, names, loc="outside right center", title="ρ: line predicted,\n• measured"
        )
    return drawing


def _curves(axes: Axes, table: DataFrame, known: int) -> None:
    ridges = list(table["ridge"].unique())
    shades = matplotlib.colormaps["viridis"](np.linspace(*SHADES, max(len(ridges) - 1, 1)))
    colours = dict(zip([ridge for ridge in ridges if ridge != BEST], shades, strict=False))
    for ridge, rows in table.groupby("ridge", sort=False):
        colour = colours.get(ridge, INK)
        axes.plot(rows["n"], rows["predicted"], color=colour, label=ridge)
        axes.plot(rows["n"], rows["measured"], "o", color=colour, markersize=4)
    axes.axvline(known, color=MUTED, linestyle=":", linewidth=1.2)
    axes.set(xscale="log", yscale="log")
    sizes = table["n"].unique()
    axes.set_xticks(sizes, map(str, sizes), rotation=45)
    axes.xaxis.minorticks_off()
    for one in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        one(ScalarFormatter())
