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

TRAINED = "#0072b2"


def figure(config: Any, table: DataFrame) -> Figure:
    """A column per architecture; per data set, areas by layer above the curves of the layers."""
    architectures = table["architecture"].unique()
    problems = table["problem"].unique()
    cells = dict(list(part(table, TRAINED_ON).groupby(["architecture", "problem"])))
    held_out = dict(list(part(table, HELD_OUT).groupby(["architecture", "problem"])))
    size = (3.0 * len(architectures) + 0.6, 5.0 * len(problems) + 0.5)
    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=size, layout="constrained")
        panels = drawing.subplots(
            2 * len(problems), len(architectures), sharey="row", squeeze=False
        )
        for i, problem in enumerate(problems):
            for j, architecture in enumerate(architectures):
                cell = cells[architecture, problem]
                _areas(panels[2 * i, j], cell, held_out[architecture, problem])
                _curves(panels[2 * i + 1, j], cell, config.seen)
                panels[2 * i, j].set_title(f"{architecture}, {problem}", fontsize=10)
            panels[2 * i, 0].set_ylabel("area  ∫A dτ / (‖y‖²√n)")
            panels[2 * i + 1, 0].set_ylabel("A(τ) / ‖y‖², trained")
        # Panels of areas have the states, those of curves the shading.
        handles, labels = panels[0, 0].get_legend_handles_labels()
        more_handles, more_labels = panels[1, 0].get_legend_handles_labels()
        drawing.legend(
            handles + more_handles,
            labels + more_labels,
            loc="outside lower center",
            ncols=len(labels + more_labels),
            fontsize=9,
        )
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
    axes.set(xlabel="layer, 0 the inputs", ylim=(0, None))
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
