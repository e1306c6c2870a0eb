"""Names of layers, measures, classes and files, as figures and terminals show them unchanged."""

import re
import textwrap
from functools import cache

import matplotlib
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from rich.text import Text

MARK = "\u200b"
"""Begins an escape in a figure. It has no width, and no printable name has it."""
_ESCAPE = r"\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}"


def printable(name: str) -> str:
    """A name on one line: control characters are written as escapes."""
    return "".join(c if c.isprintable() else _escape(c) for c in name)


def in_terminal(name: str, style: str = "") -> Text:
    """A name for rich, in which brackets are not markup."""
    return Text(printable(name), style=style)


def in_figure(name: str) -> str:
    """A name for matplotlib, in which dollars are not mathematics.

    It may begin with an underscore, which would keep it out of legends. Characters that the font
    lacks are written as escapes: two boxes could not be told apart. ``in_page`` reads them.
    """
    glyphs = _glyphs(tuple(matplotlib.rcParams["font.family"]))
    text = "".join(c if ord(c) in glyphs else MARK + _escape(c) for c in printable(name))
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def in_page(drawn: str) -> str:
    """A figure's text for a browser, which has more fonts: with the characters in place of what
    ``in_figure`` wrote for them.
    """
    return re.sub(f"{MARK}({_ESCAPE})", lambda escape: _character(escape[1]), drawn)


def wrapped(text: str, characters: int) -> str:
    """A text for matplotlib like ``in_figure``, in lines of so many characters at most."""
    lines = textwrap.wrap(printable(text), characters) or [text]
    return "\n".join(map(in_figure, lines))


def shortened(name: str, characters: int) -> str:
    """The end of a name, which tells layers apart, in so many characters at most."""
    return name if len(name) <= characters else f"…{name[1 - characters :]}"


@cache
def _glyphs(families: tuple[str, ...]) -> frozenset[int]:
    """The characters that fonts have."""
    files = [font_manager.findfont(FontProperties(family=[family])) for family in families]
    return frozenset().union(*(font_manager.get_font(file).get_charmap() for file in files))


def _character(escape: str) -> str:
    return escape.encode("ascii").decode("unicode_escape")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
