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
    STEPS,
    STYLE,
    colours_by_depth,
    line_style,
)
from jaxalign.style.layout import WIDE, Layout, panels, set_title
from jaxalign.style.legends import LONGEST, name_lines
from jaxalign.style.names import in_figure, shortened

TICKS = 20
"""So many names fit under an axis of a wide page; of more layers every second or third is named."""

ROOM = 40
"""So many characters fit under it side by side."""


def alignment_by_layer(inspection: Inspection, layout: Layout = WIDE) -> Figure:
    """Two panels: A(τ)/‖y‖² of every layer, with the most aligned one by chance; the area under it,
    layer by layer.
    """
    rows = numbers(inspection, [1.0])
    with matplotlib.rc_context(STYLE):
        figure, (curve, area) = panels(2, 4.4, layout, columns=2)
        _curves(curve, inspection, most_aligned(rows))
        _areas(area, rows, layout)
        name_lines(figure, [curve], "fall")
    return figure


def _curves(axes: Axes, inspection: Inspection, headline: str) -> None:
    grid = inspection.thresholds(256)
    drawn = curves(inspection, grid)
    for name, colour in colours_by_depth(list(drawn)).items():
        style = {"color": colour, "label": in_figure(name), **line_style(name)}
        axes.plot(grid, drawn[name].curve, drawstyle=STEPS, **style)
    label = in_figure(f"{headline} by chance")
    axes.plot(grid, drawn[headline].null_curve, drawstyle=STEPS, label=label, **CHANCE)
    set_title(axes, "Targets along σ ≥ τ")
    axes.set(
        xlabel="threshold τ on the singular values",
        ylabel="A(τ) / ‖y‖²",
        xlim=(0, grid[-1]),
        ylim=(0, 1.02),
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def _areas(axes: Axes, rows: Rows, layout: Layout) -> None:
    colours = list(colours_by_depth(list(rows)).values())
    place = np.arange(len(rows))
    areas = [row.area for row in rows.values()]
    axes.plot(place, areas, color=MUTED, linewidth=1, zorder=1)
    axes.scatter(place, areas, c=colours, s=34, zorder=2)
    axes.plot(place, [row.null_area for row in rows.values()], **CHANCE)
    set_title(axes, "Area under the curve ∫A dτ / ‖y‖²")
    axes.set_ylim(0, None)
    axes.grid(visible=False, axis="x")
    _name_layers(axes, [in_figure(shortened(name, LONGEST)) for name in rows], layout)


def _name_layers(axes: Axes, names: list[str], layout: Layout) -> None:
    every = -(-len(names) // int(TICKS * layout.share))
    slanted = sum(map(len, names)) + 2 * len(names) > ROOM * layout.share
    axes.set_xticks(range(0, len(names), every), names[::every])
    if slanted:
        for label in axes.get_xticklabels():
            label.set(rotation=50, ha="right", rotation_mode="anchor")
