"""The picture of an inspection: every layer's curve, and the area under it from the first layer to
the last.
"""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from jaxalign._features import INPUT
from jaxalign.inspection import Inspection, curves, numbers
from jaxalign.style.figures import MUTED, SHADES, STYLE, colours_by_depth, line_style

NAMED = 9  # so many lines have a legend; of more, a scale tells the depth
TICKS = 26  # so many names fit under an axis


def alignment_by_layer(inspection: Inspection) -> Figure:
    """Two panels: A(τ)/‖y‖² of every layer and of random labels in the last; the area under it,
    layer by layer.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 4.6), layout="constrained")
        curve, area = figure.subplots(1, 2)
        _curves(curve, inspection)
        _areas(area, inspection)
        if len(inspection.spectra) <= NAMED:
            curve.legend(loc="upper right", fontsize=9)
        else:
            _depth_scale(figure, curve)
            curve.legend(*_known(curve), loc="upper right", fontsize=9)
    return figure


def _curves(axes: Axes, inspection: Inspection) -> None:
    grid = inspection.thresholds(256)
    drawn = curves(inspection, grid)
    for name, colour in colours_by_depth(list(drawn)).items():
        axes.plot(grid, drawn[name].curve, color=colour, label=name, **line_style(name))
    last = next(reversed(drawn))
    axes.plot(
        grid, drawn[last].null, ":", color=MUTED, linewidth=1.2, label=f"random targets in {last}"
    )
    axes.set(
        title="Share of the targets along directions with σ ≥ τ",
        xlabel="threshold τ on the singular values",
    )
    axes.set(xlim=(0, grid[-1]), ylim=(0, 1.02), ylabel="A(τ) / ‖y‖²")
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def _areas(axes: Axes, inspection: Inspection) -> None:
    found = numbers(inspection, [1.0])
    names = list(found)
    colours = colours_by_depth(names)
    place = np.arange(len(names))
    axes.plot(place, [row.area for row in found.values()], color=MUTED, linewidth=1, zorder=1)
    axes.scatter(
        place,
        [row.area for row in found.values()],
        c=[colours[name] for name in names],
        s=34,
        zorder=2,
    )
    axes.plot(
        place,
        [row.chance_area for row in found.values()],
        ":",
        color=MUTED,
        linewidth=1.2,
        label="random targets",
    )
    axes.set(title="Area under the curve  ∫A dτ / ‖y‖²", ylim=(0, None))
    axes.grid(visible=False, axis="x")
    every = -(-len(names) // TICKS)
    slanted = sum(map(len, names)) + 2 * len(names) > 56
    axes.set_xticks(place[::every], names[::every], fontsize=8.5 if slanted else 10)
    if slanted:
        for label in axes.get_xticklabels():
            label.set(rotation=50, ha="right", rotation_mode="anchor")
    axes.legend(loc="best", fontsize=9)


def _depth_scale(figure: Figure, axes: Axes) -> None:
    shades = ListedColormap(matplotlib.colormaps["viridis_r"](np.linspace(*SHADES, 256)))
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), shades), ax=axes, pad=0.02, aspect=30)
    bar.set_ticks([0, 1], labels=["first", "last"])
    bar.set_label("layer", labelpad=-14)
    bar.outline.set_visible(False)


def _known(axes: Axes) -> tuple[list, list[str]]:
    """The lines that colour alone does not tell: inputs and random targets."""
    told = [
        line
        for line in axes.lines
        if line.get_label() == INPUT or str(line.get_label()).startswith("random")
    ]
    return told, [str(line.get_label()) for line in told]
