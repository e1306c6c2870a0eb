"""The picture of layers: areas by position, and the curves, which may cross."""

from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from jaxalign.statistics import mean_interval
from jaxalign.studies.layers.table import deeper_is_higher, mean_curves
from jaxalign.studies.shared.held_out import HELD_OUT, TRAINED_ON, part
from jaxalign.style.figures import MUTED, STYLE, colours_by_depth, line_style
from jaxalign.style.layout import WIDE, Layout, grid, label_rows, set_title
from jaxalign.style.legends import labelled, legend_of

TRAINED = "#0072b2"
LABELS = ("area\n∫A dτ / (‖y‖²√n)", "A(τ) / ‖y‖², trained")
HEIGHT = 2.3


def figure(config: Any, table: DataFrame, layout: Layout = WIDE) -> Figure:
    """A column per architecture; per data set, areas by layer above the curves of the layers."""
    architectures = table["architecture"].unique()
    problems = table["problem"].unique()
    cells = dict(list(part(table, TRAINED_ON).groupby(["architecture", "problem"])))
    held_out = dict(list(part(table, HELD_OUT).groupby(["architecture", "problem"])))
    heights = (HEIGHT,) * (2 * len(problems))
    with matplotlib.rc_context(STYLE):
        drawing, panels = grid([heights] * len(architectures), layout, share_y=True)
        for i, problem in enumerate(problems):
            for j, architecture in enumerate(architectures):
                cell = cells[architecture, problem]
                _areas(panels[2 * i, j], cell, held_out[architecture, problem])
                _curves(panels[2 * i + 1, j], cell, config.seen)
                set_title(panels[2 * i, j], architecture, problem)
        label_rows(panels, LABELS * len(problems))
        # Panels share this axis: its limit is set once all are drawn.
        for axes in panels[::2, 0]:
            axes.set_ylim(bottom=0)
        # Panels of areas have the states, those of curves the shading.
        legend_of(drawing, labelled(panels[0, 0]) | labelled(panels[1, 0]))
    return drawing


def _areas(axes: Axes, cell: DataFrame, held_out: DataFrame) -> None:
    """Means over seeds with 95 % intervals, by position; trained ones in the layers' colours."""

    def line(rows, state, label, **style):
        share = rows.pivot(index="seed", columns="position", values=state)
        mean = mean_interval(share)
        spread = [mean.value - mean.low, mean.high - mean.value]
        axes.errorbar(share.columns, mean.value, yerr=spread, label=label, ms=4.5, **style)
        return mean.value

    line(cell, "untrained", "untrained", fmt="o-", color=MUTED, mfc="white")
    line(held_out, "trained", "trained, on held-out rows", fmt="s--", color=TRAINED, alpha=0.6)
    means = line(cell, "trained", "trained", fmt="o-", color=TRAINED, mfc="white")
    positions = sorted(cell["position"].unique())
    colours = list(colours_by_depth(list(cell["layer"].unique())).values())
    axes.scatter(positions, means, c=colours, s=42, zorder=3)
    axes.set(xlabel="layer, 0 the inputs")
    axes.set_xticks(positions)


def _curves(axes: Axes, cell: DataFrame, seen: float) -> None:
    """The mean curve of every layer; shaded where none lies below the one before it."""
    thresholds, curves = mean_curves(cell)
    colours = colours_by_depth(list(cell["layer"].unique()))
    for curve, (layer, colour) in zip(curves, colours.items(), strict=True):
        # A(τ) is left-continuous: each value holds for the thresholds up to it.
        axes.plot(thresholds, curve, color=colour, drawstyle="steps-pre", **line_style(layer))
    axes.fill_between(
        thresholds,
        0,
        1.02,
        where=deeper_is_higher(curves[1:], seen),
        step="pre",
        color=TRAINED,
        alpha=0.09,
        linewidth=0,
        label="shaded: every layer ≥ the one before",
    )
    axes.set(xlabel="threshold  τ / √n", xlim=(0, 1), ylim=(0, 1.02))
