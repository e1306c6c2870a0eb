"""Tables for ``rich``, as results show themselves in terminals and notebooks."""

from collections.abc import Iterable, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text


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
