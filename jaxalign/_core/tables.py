"""Tables for ``rich``, as results show themselves in terminals and notebooks."""

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

_ANY_WIDTH = 10_000
_CUT = "…"


class WholeTable(Table):
    """A table of which nothing is cut: where headings in several lines do not make it as narrow as
    the terminal, its lines are longer, and the terminal breaks them. Print it with ``crop=False``.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = Measurement.get(console, options.update(max_width=_ANY_WIDTH), self)
        parts = list(super().__rich_console__(console, options))
        is_cut = any(isinstance(part, Segment) and _CUT in part.text for part in parts)
        if is_cut or room.minimum > options.max_width:
            wider = options.update(max_width=room.maximum)
            parts = list(super().__rich_console__(console, wider))
        yield from parts


def titled_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Group:
    """A line, and a table below it: words at the left in its first column, numbers at the right in
    the others. Nothing in it is markup.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(Text(heading), justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return Group(Text(title), table)
