"""What all pages have in common: their style, pictures inside the page, numbers for people."""

import io
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template

import numpy as np
from matplotlib.figure import Figure


def fill(package: str, template: str, text: Mapping[str, str], markup: Mapping[str, str]) -> str:
    """A template of a package with the style all pages share, text (escaped here) and markup (as it
    is).
    """
    style = files("jaxalign.style").joinpath("style.css").read_text(encoding="utf-8")
    values = {name: escape(value) for name, value in text.items()} | dict(markup) | {"style": style}
    return Template(files(package).joinpath(template).read_text(encoding="utf-8")).substitute(
        values
    )


def svg(figure: Figure) -> str:
    """A figure as an <svg> element."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def percent(share: float) -> str:
    """A share for people: 0.4%, 43%, 99.6%."""
    if np.isnan(share):
        return "NaN"
    return f"{share:.1%}" if share < 0.0995 or 0.995 < share < 1 else f"{share:.0%}"
