"""Whatever a layer is called, it is shown as that."""

import io

import matplotlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

from jaxalign.style.figures import STYLE
from jaxalign.style.names import MARK, in_figure, in_page, in_terminal, printable

# What matplotlib, rich, HTML or a terminal would take for more than a character.
PIECES = ["$", "\\", "_", "^", "{", "}", "[", "]", "/", "[/b]", "[red]", ":smile:", "%", "<b>"]
PIECES += [
    "$x$",
    r"\$",
    r"\frac{",
    "\x1b[2J",
    "\n",
    "\x00",
    "\udcff",
    "层",
    "𝄞",
    r"\u5c42",
    "\u202e",
    "σ",
    "a",
    " ",
]
ESCAPES = {ord(c): c.encode("unicode_escape").decode() for c in "\x1b\n\x00\udcff层𝄞\u202e"}
names = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)


@pytest.fixture(scope="module")
def text():
    """A text of a figure, and what matplotlib makes of it."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1, 1), dpi=20)
        text = figure.text(0, 0, "")
    return text, FigureCanvasAgg(figure).get_renderer()


@given(name=names)
@settings(deadline=None, max_examples=200, database=None)
def test_a_figure_shows_a_name_unchanged(text, name):
    drawn, renderer = text
    drawn.set_text(in_figure(name))
    # A warning of a missing glyph would be an error here, as a formula that cannot be read.
    drawn.get_window_extent(renderer)
    shown, is_formula = drawn._preprocess_math(drawn.get_text())
    assert not is_formula
    assert not shown.startswith("_")
    drawn = shown.removeprefix(" ")
    assert drawn.replace(MARK, "") == name.translate(ESCAPES).removeprefix(" ")
    # A browser has the fonts that matplotlib lacks.
    assert in_page(drawn) == printable(name).removeprefix(" ")


@given(name=names)
@settings(deadline=None, max_examples=200, database=None)
def test_a_terminal_shows_a_name_unchanged_and_on_one_line(name):
    for markup in (True, False):
        console = Console(file=io.StringIO(), width=1000, markup=markup)
        console.print(in_terminal(name), end="")
        assert console.file.getvalue() == printable(name)
    assert printable(name).isprintable()
    assert printable(name) == name or not name.isprintable()
