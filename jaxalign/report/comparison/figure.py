"""The picture of a comparison: the measure of all pairs of layers, and beside it how aligned each
layer is.
"""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from jaxalign.comparison import Compared, Comparison, not_above_chance
from jaxalign.comparison._alignment import Alignments
from jaxalign.report.comparison.headline import shown
from jaxalign.style.figures import BRIGHT, DEEP, FAINT, INK, MUTED, STYLE
from jaxalign.style.layout import CHARACTER, WIDE, Layout
from jaxalign.style.names import in_figure

MOST_NUMBERS = 10
"""Maps of up to so many layers have their numbers written into them."""

MOST_NAMES = 32
"""So many names fit beside a map; of more layers every second or third is named."""


def similarity_map(compared: Compared, layout: Layout = WIDE) -> Figure:
    """A heat map, layers of A upwards and of B to the right; crosses mark pairs that are not above
    chance. Bars tell the alignment of each layer with the targets, dots what chance would give.
    """
    comparison = compared.comparison
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=_size(comparison, layout), layout="constrained")
        if comparison.alignments is None:
            axes = figure.subplots()
        else:
            grid = figure.add_gridspec(2, 2, width_ratios=(5, 1), height_ratios=(1, 5))
            axes = figure.add_subplot(grid[1, 0])
            of_second = figure.add_subplot(grid[0, 0], sharex=axes)
            of_first = figure.add_subplot(grid[1, 1], sharey=axes)
            _alignment_bars(of_first, of_second, *comparison.alignments)
        _map(figure, axes, comparison, compared.config["names"])
    return figure


def _size(comparison: Comparison, layout: Layout) -> tuple[float, float]:
    columns = len(comparison.second)
    rows = len(comparison.first)
    bars = 0.0 if comparison.alignments is None else 1.4
    width = 3.2 + bars + min(7.0, max(3.2, 0.55 * columns))
    return min(width, layout.width), 2.0 + bars + min(6.6, max(2.4, 0.45 * rows))


def _map(figure: Figure, axes: Axes, comparison: Comparison, names: Sequence[str]) -> None:
    values = comparison.pairs.values
    colours = matplotlib.colormaps["viridis_r" if comparison.is_distance else "viridis"]
    scale = _scale(comparison)
    # Without interpolation: a cell is a number.
    image = axes.imshow(
        np.ma.masked_invalid(values),
        cmap=colours.with_extremes(bad=FAINT),
        norm=scale,
        origin="lower",
        aspect="auto",
        interpolation="none",
    )
    axes.grid(visible=False)
    _name_layers(axes, comparison)
    axes.set(xlabel=f"B: {in_figure(_short(names[1]))}", ylabel=f"A: {in_figure(_short(names[0]))}")
    with_numbers = _has_numbers(figure, comparison)
    if with_numbers:
        _write_numbers(axes, comparison, scale)
    marked = not_above_chance(comparison)
    if marked is not None:
        _mark(axes, marked & ~np.isnan(values), with_numbers=with_numbers)
    bar = figure.colorbar(image, ax=axes, location="bottom", aspect=40, pad=0.02, shrink=0.7)
    bar.set_label(comparison.measure)
    bar.outline.set_visible(False)


def _has_numbers(figure: Figure, comparison: Comparison) -> bool:
    """Whether the numbers fit into the cells, which take half of a narrow figure."""
    columns = len(comparison.second)
    fits = columns * 6 * CHARACTER <= figure.get_figwidth() / 2
    return fits and max(columns, len(comparison.first)) <= MOST_NUMBERS


def _scale(comparison: Comparison) -> Normalize:
    values = comparison.pairs.values
    largest = 1.0 if np.isnan(values).all() else float(np.nanmax(values))
    # Of shares, from 0 to 1, unless all are so low that no colours were left to tell them apart.
    if comparison.is_share and largest > 0.5:
        return Normalize(0, 1)
    return Normalize(0, largest if largest > 0 else 1.0)


def _write_numbers(axes: Axes, comparison: Comparison, scale: Normalize) -> None:
    for (i, j), value in np.ndenumerate(comparison.pairs.values):
        share = float(np.clip(scale(value), 0, 1)) if not np.isnan(value) else 0.0
        is_bright = share < 0.4 if comparison.is_distance else share > 0.6
        colour = DEEP if is_bright or np.isnan(value) else BRIGHT
        text = "–" if np.isnan(value) else shown(value)
        axes.text(j, i, text, ha="center", va="center", color=colour)


def _mark(axes: Axes, marked: np.ndarray, *, with_numbers: bool) -> None:
    rows, columns = np.nonzero(marked)
    # Above the number, where there is one.
    places = rows + (0.3 if with_numbers else 0.0)
    size = 26 if with_numbers else np.clip(4000 / marked.size, 4, 26)
    axes.scatter(columns, places, marker="x", s=size, c=BRIGHT, linewidths=1.6)
    axes.scatter(columns, places, marker="x", s=size, c=DEEP, linewidths=0.8)


def _name_layers(axes: Axes, comparison: Comparison) -> None:
    for axis, layers in ((axes.xaxis, comparison.second), (axes.yaxis, comparison.first)):
        names = [in_figure(_short(name)) for name in layers]
        every = -(-len(names) // MOST_NAMES)
        axis.set_ticks(range(0, len(names), every), names[::every])
    if sum(map(len, comparison.second)) > 40:
        for label in axes.get_xticklabels():
            label.set(rotation=50, ha="right", rotation_mode="anchor")


def _alignment_bars(of_first: Axes, of_second: Axes, first: Alignments, second: Alignments) -> None:
    largest = 1.08 * max(row.area for rows in (first, second) for row in rows.values())
    for rows, axes, is_upright in ((first, of_first, False), (second, of_second, True)):
        place = np.arange(len(rows))
        areas = [row.area for row in rows.values()]
        chances = [row.null_area for row in rows.values()]
        axes.tick_params(labelleft=is_upright, labelbottom=not is_upright)
        if is_upright:
            axes.bar(place, areas, color=MUTED, width=0.7)
            axes.scatter(place, chances, color=INK, s=10, zorder=3)
            axes.set(ylim=(0, largest), title="Alignment of B, ∫A dτ/‖y‖²")
            axes.grid(visible=False, axis="x")
        else:
            axes.barh(place, areas, color=MUTED, height=0.7)
            axes.scatter(chances, place, color=INK, s=10, zorder=3)
            axes.set(xlim=(0, largest), title="of A")
            axes.tick_params(axis="x", labelrotation=90)
            axes.grid(visible=False, axis="y")


def _short(name: str, most: int = 28) -> str:
    """The end of a name, which tells layers apart."""
    return name if len(name) <= most else f"…{name[1 - most :]}"
