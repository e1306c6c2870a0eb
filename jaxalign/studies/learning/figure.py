"""The picture of learning curves: predictions as lines, fitted heads as points."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, ScalarFormatter
from pandas import DataFrame

from jaxalign.studies.learning.design import BEST
from jaxalign.style.figures import INK, MUTED, STYLE
from jaxalign.style.layout import WIDE, Layout, grid, label_below, label_rows, set_title
from jaxalign.style.legends import labelled, legend_of

HEIGHT = 2.7
NAMED = (2, 3, 5, 7)
"""Places between powers of ten whose numbers do not touch."""
SHADES = (0.1, 0.8)  # of viridis, from the weakest strength to the strongest


def figure(config: Any, table: DataFrame, layout: Layout = WIDE) -> Figure:
    """A row per task and a column per representation: error by number of rows."""
    tasks = table["task"].unique()
    representations = table["representation"].unique()
    with matplotlib.rc_context(STYLE):
        heights = (HEIGHT,) * len(tasks)
        drawing, panels = grid([heights] * len(representations), layout, share_x=True)
        for task, line in zip(tasks, panels, strict=True):
            for representation, axes in zip(representations, line, strict=True):
                rows = table[(table["task"] == task) & (table["representation"] == representation)]
                _curves(axes, rows, config.known)
                set_title(axes, representation, task)
        label_rows(panels, ["error per row"] * len(tasks))
        label_below(drawing, "rows of the head, n; lines predicted, points measured")
        legend_of(drawing, labelled(panels[0, 0]))
    return drawing


def _curves(axes: Axes, table: DataFrame, known: int) -> None:
    ridges = list(table["ridge"].unique())
    shades = matplotlib.colormaps["viridis"](np.linspace(*SHADES, max(len(ridges) - 1, 1)))
    colours = dict(zip([ridge for ridge in ridges if ridge != BEST], shades, strict=False))
    for ridge, rows in table.groupby("ridge", sort=False):
        colour = colours.get(ridge, INK)
        axes.plot(rows["n"], rows["predicted"], color=colour, label=f"ρ {ridge}")
        axes.plot(rows["n"], rows["measured"], "o", color=colour, markersize=4)
    axes.axvline(known, color=MUTED, linestyle=":", linewidth=1.2)
    axes.set(xscale="log", yscale="log")
    sizes = table["n"].unique()
    axes.set_xticks(sizes, map(str, sizes), rotation=45)
    axes.xaxis.minorticks_off()
    axes.yaxis.set_minor_locator(LogLocator(subs=NAMED))
    for one in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        one(ScalarFormatter())
