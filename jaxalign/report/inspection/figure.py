"""The picture of an inspection: every layer's curve, and the area under it from the first layer to
the last.
"""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from jaxalign.inspection import Inspection, curves, numbers
from jaxalign.report.inspection.headline import Rows, most_aligned
from jaxalign.style.figures import (
    CHANCE,
    MUTED,
    NAMED,
    STEPS,
    STYLE,
    colours_by_depth,
    depth_scale,
    line_style,
)
from jaxalign.style.names import in_figure

TICKS = 26
"""So many names fit under an axis; of more layers every second or third is named."""

ROOM = 56
"""So many characters fit under an axis side by side."""


def alignment_by_layer(inspection: Inspection) -> Figure:
    """Two panels: A(τ)/‖y‖² of every layer, with the most aligned one by chance; the area under it,
    layer by layer.
    """
    rows = numbers(inspection, [1.0])
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 4.6), layout="constrained")
        curve, area = figure.subplots(1, 2)
        _curves(curve, inspection, most_aligned(rows))
        _areas(area, rows)
        named = list(curve.lines)
        if len(rows) > NAMED:
            depth_scale(figure, curve)
            # The inputs and chance have no depth, and are no solid lines.
            named = [line for line in named if line.get_linestyle() != "-"]
        curve.legend(handles=named, loc="upper right", fontsize=9)
    return figure


def _curves(axes: Axes, inspection: Inspection, headline: str) -> None:
    grid = inspection.thresholds(256)
    drawn = curves(inspection, grid)
    for name, colour in colours_by_depth(list(drawn)).items():
        style = {"color": colour, "label": in_figure(name), **line_style(name)}
        axes.plot(grid, drawn[name].curve, drawstyle=STEPS, **style)
    label = in_figure(f"{headline} by chance")
    axes.plot(grid, drawn[headline].null_curve, drawstyle=STEPS, label=label, **CHANCE)
    axes.set(
        title="Targets along directions with σ ≥ τ",
        xlabel="threshold τ on the singular values",
        ylabel="A(τ) / ‖y‖²",
        xlim=(0, grid[-1]),
        ylim=(0, 1.02),
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def _areas(axes: Axes, rows: Rows) -> None:
    colours = list(colours_by_depth(list(rows)).values())
    place = np.arange(len(rows))
    areas = [row.area for row in rows.values()]
    axes.plot(place, areas, color=MUTED, linewidth=1, zorder=1)
    axes.scatter(place, areas, c=colours, s=34, zorder=2)
    axes.plot(place, [row.null_area for row in rows.values()], label="by chance", **CHANCE)
    axes.set(title="Area under the curve  ∫A dτ / ‖y‖²", ylim=(0, None))
    axes.grid(visible=False, axis="x")
    _name_layers(axes, [in_figure(name) for name in rows])
    axes.legend(loc="best", fontsize=9)


def _name_layers(axes: Axes, names: list[str]) -> None:
    every = -(-len(names) // TICKS)
    slanted = sum(map(len, names)) + 2 * len(names) > ROOM
    axes.set_xticks(range(0, len(names), every), names[::every], fontsize=8.5 if slanted else 10)
    if slanted:
        for label in axes.get_xticklabels():
            label.set(rotation=50, ha="right", rotation_mode="anchor")
