"""Figures as parts of a page: text as text, colours for light and for dark pages, and what is seen
in words.
"""

import colorsys
import io
import re

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from jaxalign.style.figures import BRIGHT, DEEP, STYLE
from jaxalign.style.layout import NARROW, WIDE
from jaxalign.style.names import in_page

DARKEST = 0.08
LIGHTEST = 0.92
"""The lightness on a dark page of what is white on a light one, and of what is black."""


def svg(figure: Figure, seen: str, key: str) -> Markup:
    """A figure as an <svg> element, the same for the same figure.

    Args:
      figure: what to draw.
      seen: what a person sees in it, for those who do not.
      key: begins its ids, so no two figures of a page may have the same.
    """
    buffer = io.StringIO()
    # What STYLE says of the format counts when the figure is written, not when it is drawn.
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": key}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = in_page(buffer.getvalue())
    text = text[text.index("<svg") :]
    # Groups are numbered in every figure alike, and nothing refers to them.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"<metadata>.*?</metadata>|\n *(?=<)", "", text, flags=re.DOTALL)
    text = re.sub(r' d="[^"]*"', _compact, text)
    text = re.sub(r"\b(fill|stroke): (#[0-9a-f]{6})\b", _for_both, text)
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{escape(seen)}" ', 1))


def on_dark(colour: str) -> str:
    """The colour of the same hue that stands out from a dark page as this one from a white one.

    Example:
      >>> on_dark("#ffffff"), on_dark("#1f2328")
      ('#141414', '#c6ccd3')
    """
    red, green, blue = matplotlib.colors.to_rgb(colour)
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    lightness = LIGHTEST - lightness * (LIGHTEST - DARKEST)
    return matplotlib.colors.to_hex(colorsys.hls_to_rgb(hue, lightness, saturation))


def for_both(colour: str) -> str:
    """A colour for CSS that follows the page."""
    return f"light-dark({colour}, {on_dark(colour)})"


def _compact(path: re.Match[str]) -> str:
    """Coordinates to a hundredth of a point, which is less than a pixel."""
    return re.sub(r"(\.\d\d)\d+", r"\1", path[0]).replace(" \n", "").replace("\n", "")


def _for_both(declaration: re.Match[str]) -> str:
    attribute, colour = declaration.groups()
    if colour in (BRIGHT, DEEP):
        return declaration[0]
    return f"{attribute}: {for_both(colour)}"


def picture(wide: Figure, narrow: Figure, seen: str, key: str) -> Markup:
    """A figure drawn for both layouts, of which a page shows the one that its width asks for.

    Args:
      wide: drawn for ``WIDE``.
      narrow: drawn for ``NARROW``.
      seen: what a person sees in either.
      key: no two pictures of a page have the same.
    """
    return by_width(
        svg(wide, seen, f"{key}-{WIDE.name}"), svg(narrow, seen, f"{key}-{NARROW.name}")
    )


def by_width(wide: Markup, narrow: Markup) -> Markup:
    """Two drawings, of which a page shows the one that its width asks for."""
    parts = (
        Markup('<div class="{}">{}</div>').format(name, drawn)
        for name, drawn in ((WIDE.name, wide), (NARROW.name, narrow))
    )
    return Markup("\n").join(parts)
