"""How lines are named: a legend off the curves or, of many lines, a name beside each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.optimize import isotonic_regression

from jaxalign.style.layout import CHARACTER, NARROW
from jaxalign.style.names import shortened

NAMED = 7
"""So many layers have a legend; of more, each has its name beside its line."""

HANDLE = 0.55
"""What a label of a legend takes in inches, beside its text."""

LINE = 0.165
"""The height of a line of text in inches."""

LONGEST = 28
"""So many characters of a name are shown, or half of them on a narrow page."""

Place = Literal["end", "fall"]
"""Where a name points to: the right end of its line, or a place on its way down."""

Side = Literal["outside upper left", "outside lower left"]


def name_lines(
    figure: Figure, drawn: Sequence[Axes], place: Place = "end", legend: Side = "outside lower left"
) -> None:
    """Name all lines of some panels: in a legend below or above them, those of many layers at the
    right of each panel. Lines of no layer, which are not solid, are always in the legend.
    """
    lines = {str(line.get_label()): line for axes in drawn for line in _labelled(axes)}
    layers = [label for label, line in lines.items() if _is_solid(line)]
    if len(layers) > NAMED:
        for axes in drawn:
            drawn_lines = [line for line in _labelled(axes) if len(_finite(line)[1])]
            _name_beside(axes, [line for line in drawn_lines if _is_solid(line)], place)
        lines = {label: line for label, line in lines.items() if not _is_solid(line)}
    legend_of(figure, lines, legend)


def legend_of(
    figure: Figure, lines: Mapping[str, Artist], side: Side = "outside upper left"
) -> None:
    """A legend for all panels, in as many columns as fit on the page; none if nothing is drawn. Of
    a label that is longer than the page is wide the end is shown.
    """
    if not lines:
        return
    fitting = int((figure.get_figwidth() - HANDLE) / CHARACTER)
    labels = [shortened(label, fitting) for label in lines]
    width = HANDLE + CHARACTER * max(map(len, labels))
    columns = max(1, int(figure.get_figwidth() / width))
    figure.legend(lines.values(), labels, loc=side, ncols=columns)


def labelled(*panels: Axes) -> dict[str, Artist]:
    """What is drawn in some panels, by label."""
    drawn: dict[str, Artist] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        drawn |= dict(zip(labels, handles, strict=True))
    return drawn


def _labelled(axes: Axes) -> Iterable[Line2D]:
    return (line for line in axes.lines if not str(line.get_label()).startswith("_"))


def _is_solid(line: Line2D) -> bool:
    return line.get_linestyle() == "-"


def _name_beside(axes: Axes, lines: Sequence[Line2D], place: Place) -> None:
    """Names at the right of a panel, none above another, each with a thin line to its curve."""
    figure = axes.get_figure(root=True)
    spec = axes.get_subplotspec()
    if figure is None or spec is None:
        raise ValueError("the axes are not a panel of a figure")
    # About a fifth of a panel's height is its title and its ticks.
    fitting = int(0.8 * figure.get_figheight() / spec.get_gridspec().nrows / LINE)
    if not lines:
        return
    every = -(-len(lines) // fitting)
    # The last layer is named in any case.
    lines = sorted(lines[::-1][::every], key=_reach if place == "fall" else _last)
    if place == "fall":
        heights = (np.arange(len(lines)) + 0.5) / len(lines)
        points = [_crossing(axes, line, y / 2) for line, y in zip(lines, heights, strict=True)]
    else:
        points = [_end(line) for line in lines]
        heights = apart([_height(axes, y) for _, y in points], 1 / fitting)
    longest = LONGEST // 2 if figure.get_figwidth() <= NARROW.width else LONGEST
    for line, point, height in zip(lines, points, heights, strict=True):
        axes.annotate(
            shortened(str(line.get_label()).strip(), longest),
            point,
            (1.1, height),
            textcoords="axes fraction",
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": line.get_color(),
                "linewidth": 1.0,
                "relpos": (0, 0.5),
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )


def apart(heights: Sequence[float], gap: float) -> np.ndarray:
    """The heights nearest to some increasing ones, in [0, 1], of which no two are nearer than a
    gap.
    """
    shifts = np.arange(len(heights)) * gap
    nearest = isotonic_regression(np.asarray(heights) - shifts).x
    return np.clip(nearest, 0.0, max(0.0, 1.0 - shifts[-1])) + shifts


def _finite(line: Line2D) -> tuple[np.ndarray, np.ndarray]:
    x, y = (np.asarray(values, float) for values in line.get_data())
    known = np.isfinite(y)
    return x[known], y[known]


def _last(line: Line2D) -> float:
    return _end(line)[1]


def _end(line: Line2D) -> tuple[float, float]:
    x, y = _finite(line)
    return x[-1], y[-1]


def _reach(line: Line2D) -> float:
    """The area under a line: how far to the right it falls."""
    return float(np.trapezoid(*_finite(line)[::-1]))


def _height(axes: Axes, y: float) -> float:
    """A value as a share of the panel's height."""
    low, high = axes.get_ylim()
    return (y - low) / (high - low)


def _crossing(axes: Axes, line: Line2D, height: float) -> tuple[float, float]:
    """Where a falling line has a height, a share of the panel's; its first point if nowhere."""
    x, y = _finite(line)
    low, high = axes.get_ylim()
    level = low + height * (high - low)
    # Drawn as steps, a curve falls to its next value right after a point.
    return x[max(int(np.count_nonzero(y >= level)) - 1, 0)], min(level, y[0])
