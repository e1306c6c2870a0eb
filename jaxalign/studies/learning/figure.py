"""The picture of learning curves: errors at the best strength, and the misses of all curves."""

from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter
from pandas import DataFrame

from jaxalign.studies.learning.design import BEST
from jaxalign.style.figures import MUTED, STYLE
from jaxalign.style.layout import WIDE, Layout, grid, label_below, label_rows, set_title
from jaxalign.style.legends import labelled, legend_of

ERRORS = 2.6
MISSES = 1.6
"""Inches of panels."""
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b58900", "#7b4fa3", "#6b7280",
)  # fmt: skip
"""Of data sets, which differ also for eyes that see few colours."""
BAND = "#dfe7ef"
SHARES = {0.1: ".1", 0.2: ".2", 0.5: ".5", 1: "1", 2: "2"}
"""n/N, and how it is written."""
MARGIN = 1.2
"""So much more than the largest misses is shown."""
MISSES_NAMED = (-0.5, -0.2, -0.05, 0.05, 0.2, 0.5)


def figure(config: Any, table: DataFrame, layout: Layout = WIDE) -> Figure:
    """A column per representation: the error per row at the best strength, then the miss at each
    strength, with a line per data set; shaded within the tolerance.
    """
    representations = table["representation"].unique()
    ridges = table["ridge"].unique()
    colours = dict(zip(table["task"].unique(), COLOURS, strict=False))
    heights = (ERRORS, *(MISSES,) * len(ridges))
    table = table.assign(share=table["n"] / table["known"])
    with matplotlib.rc_context(STYLE):
        drawing, panels = grid([heights] * len(representations), layout, share_x=True, share_y=True)
        for representation, (errors, *misses) in zip(representations, panels.T, strict=True):
            rows = table[table["representation"] == representation]
            _errors(errors, rows[rows["ridge"] == BEST], colours)
            set_title(errors, representation)
            for ridge, axes in zip(ridges, misses, strict=True):
                _misses(axes, rows[rows["ridge"] == ridge], colours, config.tolerance)
        for axes in panels.flat:
            _number_rows(axes)
        for axes in panels[1:, 0]:
            axes.set_ylim(*_limits(table, config.tolerance))
        label_rows(panels, ["error per row\nρ best", *(f"miss\nρ {ridge}" for ridge in ridges)])
        label_below(
            drawing,
            "rows of the head over rows of the spectrum, n/N; above: lines predicted, points "
            f"measured; below: predicted/measured − 1, shaded: within {config.tolerance:.0%}",
        )
        legend_of(drawing, labelled(panels[0, 0]))
    return drawing


def _errors(axes: Axes, table: DataFrame, colours: dict[str, str]) -> None:
    for task, rows in table.groupby("task", sort=False):
        axes.plot(rows["share"], rows["predicted"], color=colours[task], label=task)
        axes.plot(rows["share"], rows["measured"], "o", color=colours[task], markersize=4)
    axes.set(yscale="log")
    axes.yaxis.set_major_formatter("{x:g}")


def _misses(axes: Axes, table: DataFrame, colours: dict[str, str], tolerance: float) -> None:
    axes.axhspan(-tolerance, tolerance, color=BAND, linewidth=0, zorder=0)
    for task, rows in table.groupby("task", sort=False):
        axes.plot(rows["share"], rows["miss"], ".-", color=colours[task], linewidth=1.3)
    # Small misses are shown as they are, large ones by their order.
    axes.set_yscale("asinh", linear_width=tolerance)
    axes.set_yticks(MISSES_NAMED)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0))


def _limits(table: DataFrame, tolerance: float) -> tuple[float, float]:
    """Of all misses, with the band."""
    low = min(table["miss"].min(), -tolerance)
    high = max(table["miss"].max(), tolerance)
    return MARGIN * low, MARGIN * high


def _number_rows(axes: Axes) -> None:
    axes.axvline(1, color=MUTED, linestyle=":", linewidth=1.2)
    axes.set(xscale="log")
    axes.set_xticks(list(SHARES), SHARES.values())
    axes.xaxis.minorticks_off()
