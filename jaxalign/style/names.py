"""Names of layers, measures, classes and files, as figures and terminals show them unchanged."""

import textwrap
from functools import cache

import matplotlib
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from rich.text import Text


def printable(name: str) -> str:
    """A name on one line: control characters are written as escapes."""
    return "".join(c if c.isprintable() else _escape(c) for c in name)


def in_terminal(name: str, style: str = "") -> Text:
    """A name for rich, in which brackets are not markup."""
    return Text(printable(name), style=style)


def in_figure(name: str) -> str:
    """A name for matplotlib, in which dollars are not mathematics.

    It may begin with an underscore, which would keep it out of legends. Characters that the font
    lacks are written as escapes: two boxes could not be told apart.
    """
    glyphs = _glyphs(tuple(matplotlib.rcParams["font.family"]))
    text = "".join(c if ord(c) in glyphs else _escape(c) for c in printable(name))
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


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


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
