"""Numbers are whole on a terminal of any width."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from jaxalign._core.tables import WholeTable

WORDS = st.text("ab_", min_size=1, max_size=30)
NUMBERS = st.floats(0, 1e6).map("{:.3f}".format)


@given(rows=st.lists(st.tuples(WORDS, NUMBERS, NUMBERS), min_size=1, max_size=4))
@settings(deadline=None, max_examples=40, database=None)
@pytest.mark.parametrize("width", [12, 40, 80])
def test_every_cell_is_whole_and_headings_make_a_table_narrow(width, rows):
    table = WholeTable(box=None, pad_edge=False)
    table.add_column("layer", no_wrap=True)
    table.add_column("of the network before training")
    table.add_column("trained", justify="right")
    for row in rows:
        table.add_row(*row)
    console = Console(file=io.StringIO(), width=width)
    console.print(table, crop=False)
    printed = console.file.getvalue()
    for row in rows:
        assert any(line.split() == list(row) for line in printed.splitlines())
    if width == 80:
        assert max(map(len, printed.splitlines())) <= 80
