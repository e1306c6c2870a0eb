"""How panels lie on a wide page and on a narrow one, with text of one size on both."""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from jaxalign.style.names import wrapped

CHARACTER = 0.083
BOLD = 0.09
"""The width of a character in inches, about."""


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


def set_title(axes: Axes, title: str) -> None:
    """A title in as many lines as the panel's width asks for."""
    axes.set_title(wrapped(title, _characters(axes)))


def _characters(axes: Axes) -> int:
    """How many characters fit above a panel, beside the room that its ticks take."""
    figure = axes.get_figure(root=True)
    place = axes.get_subplotspec()
    if figure is None or place is None:
        raise ValueError("the axes are no panel of a figure")
    return max(8, int((figure.get_figwidth() / place.get_gridspec().ncols - 0.55) / BOLD))
