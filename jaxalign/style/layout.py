"""How panels lie on a wide page and on a narrow one, with text of one size on both."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine

from jaxalign.style.names import shortened, wrapped

CHARACTER = 0.083
BOLD = 0.09
"""The width of a character in inches, about."""
LINES = 5
"""A panel has room for so many lines of a title."""


class Layout(NamedTuple):
    """A page that figures are drawn for.

    Attributes:
      name: of its CSS class.
      width: of every figure, in inches: a page shows figures at their own size.
      share: of the panels that a wide page has in a row, so many has this one.
    """

    name: str
    width: float
    share: float


WIDE = Layout("on-wide", 10.0, 1.0)
NARROW = Layout("on-narrow", 3.65, 0.5)


def panels(
    count: int, height: float, layout: Layout, *, columns: int = 3, shared: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels.

    Args:
      count: how many panels.
      height: of one, in inches.
      layout: of the page.
      columns: so many at most are in a row of a wide page.
      shared: whether all have the same axes.
    """
    columns = min(count, max(1, int(columns * layout.share)))
    rows = -(-count // columns)
    # The padding keeps titles off the axis above them.
    engine = ConstrainedLayoutEngine(h_pad=0.08)
    figure = Figure(figsize=(layout.width, height * rows), layout=engine)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared)
    for axes in grid.flat[count:]:
        axes.remove()
    # Shared axes have their ticks named in the last row, which these panels do not reach.
    for axes in grid.flat[max(count - columns, 0) : count]:
        axes.tick_params(labelbottom=True)
    return figure, list(grid.flat[:count])


def grid(
    heights: Sequence[Sequence[float]],
    layout: Layout,
    *,
    across: int = 5,
    share_x: bool = False,
    share_y: bool = False,
) -> tuple[Figure, np.ndarray]:
    """A figure with rows and columns of panels; columns that do not fit on the page come below the
    others, each with all its rows.

    Args:
      heights: of the panels of each column, in inches; a row is as high as its highest panel.
      layout: of the page.
      across: so many columns at most are side by side on a wide page.
      share_x: whether a column has one x axis, with ticks named in its last row.
      share_y: whether a row has one y axis, with ticks named at the left.

    Returns:
      the figure, and (rows, columns) the panels, wherever they lie.
    """
    columns = len(heights)
    rows = len(heights[0])
    across = max(1, int(min(columns, across) * layout.share))
    blocks = [
        np.max(heights[first : first + across], axis=0) for first in range(0, columns, across)
    ]
    tall = np.concatenate(blocks)
    engine = ConstrainedLayoutEngine(h_pad=0.06)
    figure = Figure(figsize=(layout.width, float(tall.sum())), layout=engine)
    places = figure.add_gridspec(len(tall), across, height_ratios=tall)
    panels = np.empty((rows, columns), object)
    for i, j in np.ndindex(rows, columns):
        block, column = divmod(j, across)
        axes = figure.add_subplot(
            places[block * rows + i, column],
            sharex=panels[0, j] if share_x else None,
            sharey=panels[i, 0] if share_y else None,
        )
        axes.tick_params(
            labelbottom=not share_x or i + 1 == rows, labelleft=not share_y or column == 0
        )
        panels[i, j] = axes
    return figure, panels


def label_rows(panels: np.ndarray, labels: Sequence[str]) -> None:
    """Name the y axis of each row of a grid, at the left."""
    for row, label in zip(panels, labels, strict=True):
        for axes in row:
            if at_the_left(axes):
                axes.set_ylabel(label)


def at_the_left(axes: Axes) -> bool:
    """Whether a panel begins a row of its page."""
    return _place(axes).is_first_col()


def label_below(figure: Figure, text: str) -> None:
    """Name what all panels have on their x axis, in as many lines as the page asks for."""
    figure.supxlabel(wrapped(text, int(figure.get_figwidth() / CHARACTER)))


def set_title(axes: Axes, *parts: str) -> None:
    """A title, of which each part has as many lines as the panel's width asks for. Of a longer part
    the end is shown, which tells layers apart.
    """
    width = _characters(axes)
    axes.set_title("\n".join(wrapped(shortened(part, LINES * width), width) for part in parts))


def _characters(axes: Axes) -> int:
    """How many characters fit above a panel, beside the room that its ticks take."""
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes are in no figure")
    return max(8, int((figure.get_figwidth() / _place(axes).get_gridspec().ncols - 0.55) / BOLD))


def _place(axes: Axes) -> SubplotSpec:
    place = axes.get_subplotspec()
    if place is None:
        raise ValueError("the axes are not a panel of a figure")
    return place
