"""What all figures have in common: colours, fonts, and lines by the depth of a layer."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np

from jaxalign._features import INPUT

INK, MUTED, FAINT = "#1f2328", "#6b7280", "#d5d9e0"

SHADES = (0.25, 0.95)  # of viridis reversed, from the first layer to the last

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
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
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "jaxalign",
}


def colours_by_depth(layers: Sequence[str]) -> dict[str, str]:
    """Grey for the inputs, then light to dark in the order of the layers."""
    names = [name for name in layers if name != INPUT]
    shades = matplotlib.colormaps["viridis_r"](np.linspace(*SHADES, max(len(names), 2)))
    colours = {
        name: matplotlib.colors.to_hex(shade) for name, shade in zip(names, shades, strict=False)
    }
    return {name: colours.get(name, MUTED) for name in layers}


def line_style(name: str) -> dict:
    """The inputs are dashed."""
    return {"linestyle": "--", "linewidth": 1.4} if name == INPUT else {}
