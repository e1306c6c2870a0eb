"""What all figures have in common: colours, fonts, lines by the depth of a layer, and steps."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np

from jaxalign.runs import is_input

INK = "#1f2328"
MUTED = "#6b7280"
FAINT = "#d5d9e0"

BRIGHT = "#fefefe"
DEEP = "#1f2329"
"""Colours of what lies on a map, whose own colours are the same on light and on dark pages."""

SHADES = (0.38, 0.95)  # of viridis reversed, from the first layer to the last

# A(τ) sums over σ ≥ τ, so it is continuous from the left: between two points of a grid it is drawn
# at the value of the right one.
STEPS = "steps-pre"

CHANCE: Any = {"color": MUTED, "linestyle": ":", "linewidth": 1.2}
"""The line of what chance gives."""

STYLE: Any = {
    # A page sets its own font in its place.
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "figure.labelsize": 10,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "text.usetex": False,
    "svg.fonttype": "none",
}


def colours_by_depth(layers: Sequence[str]) -> dict[str, str]:
    """Grey for the inputs, then light to dark in the order of the layers."""
    names = [name for name in layers if not is_input(name)]
    shades = matplotlib.colormaps["viridis_r"](np.linspace(*SHADES, max(len(names), 2)))
    colours = {
        name: matplotlib.colors.to_hex(shade) for name, shade in zip(names, shades, strict=False)
    }
    return {name: colours.get(name, MUTED) for name in layers}


def line_style(name: str) -> dict[str, Any]:
    """The inputs are dashed."""
    if is_input(name):
        return {"linestyle": "--", "linewidth": 1.4}
    return {}
