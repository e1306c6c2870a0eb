"""The picture of layers: area by position, trained and untrained, and below, in the same colours,
the curves that may cross.
"""

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxalign.statistics import mean_interval
from jaxalign.studies.framework.study import Row, column, distinct, where
from jaxalign.studies.layers.table import deeper_is_higher, mean_curves
from jaxalign.style.figures import MUTED, STYLE, colours_by_depth, line_style

TRAINED = "#0072b2"


def figure(rows: Sequence[Row], seen: float) -> Figure:
    """For each data set a row of areas by layer and a row of curves; a column an architecture.

    Args:
      rows: of the table.
      seen: the share that has to be left in the last layer, where curves are compared.
    """
    architectures, problems = (distinct(rows, name) for name in ("architecture", "problem"))
    with matplotlib.rc_context(STYLE):
        size = (3.0 * len(architectures) + 0.6, 5.0 * len(problems) + 0.5)
        drawing = Figure(figsize=size, layout="constrained")
        panels = drawing.subplots(
            2 * len(problems), len(architectures), sharey="row", squeeze=False
        )
        for i, problem in enumerate(problems):
            for j, architecture in enumerate(architectures):
                cell = where(rows, {"problem": problem, "architecture": architecture})
                _areas(panels[2 * i, j], cell)
                _curves(panels[2 * i + 1, j], cell, seen)
                panels[2 * i, j].set_title(f"{architecture}, {problem}", fontsize=10)
            panels[2 * i, 0].set_ylabel("area  ∫A dτ / (‖y‖²√n)")
            panels[2 * i + 1, 0].set_ylabel("A(τ) / ‖y‖², trained")
        keys = [
            key
            for axes in panels[:2, 0]
            for key in zip(*axes.get_legend_handles_labels(), strict=True)
        ]
        drawing.legend(
            *zip(*keys, strict=True), loc="outside lower center", ncols=len(keys), fontsize=9
        )
    return drawing


def _areas(axes: Axes, rows: Sequence[Row]) -> None:
    """Means over seeds with 95 % intervals, by position; trained ones in the colours of the layers."""
    positions, seeds = (sorted(set(column(rows, name))) for name in ("position", "seed"))
    for state, colour in (("untrained", MUTED), ("trained", TRAINED)):
        share = {(row["seed"], row["position"]): row[state] for row in rows}
        at = mean_interval([[share[seed, position] for position in positions] for seed in seeds])
        spread = [at.value - at.low, at.high - at.value]
        axes.errorbar(
            positions,
            at.value,
            yerr=spread,
            fmt="o-",
            ms=4.5,
            color=colour,
            mfc="white",
            label=state,
        )
    colours = list(colours_by_depth(distinct(rows, "layer")).values())
    axes.scatter(positions, at.value, c=colours, s=42, zorder=3)
    axes.set(xlabel="layer, 0 the inputs", ylim=(0, None))
    axes.set_xticks(positions)


def _curves(axes: Axes, rows: Sequence[Row], seen: float) -> None:
    """Of every layer, the mean over seeds; shaded where each lies at or over the one before it."""
    layers = distinct(rows, "layer")
    tau, curves = mean_curves(rows)
    for position, (layer, colour) in enumerate(colours_by_depth(layers).items()):
        curve = curves[position]
        axes.plot(tau, curve, color=colour, **line_style(layer))
    holds = deeper_is_higher(curves[1:], seen)
    axes.fill_between(
        tau,
        0,
        1.02,
        where=holds,
        color=TRAINED,
        alpha=0.09,
        linewidth=0,
        label="shaded: every layer ≥ the one before",
    )
    axes.set(xlabel="threshold  τ / √n", xlim=(0, 1), ylim=(0, 1.02))
