"""What all figures have in common: colours, fonts, lines by the depth of a layer, and steps."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from jaxalign.runs import is_input

INK = "#1f2328"
MUTED = "#6b7280"
FAINT = "#d5d9e0"

SHADES = (0.25, 0.95)  # of viridis reversed, from the first layer to the last

NAMED = 9
"""So many layers have a legend; of more, a scale tells the depth."""

# A(τ) sums over σ ≥ τ, so it is continuous from the left: between two points of a grid it is drawn
# at the value of the right one.
STEPS = "steps-pre"

CHANCE: Any = {"color": MUTED, "linestyle": ":", "linewidth": 1.2}
"""The line of what chance gives."""

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
    "text.usetex": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "jaxalign",
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


def depth_scale(figure: Figure, axes: Axes | Sequence[Axes]) -> None:
    """A bar beside the axes that tells the first layer's colour from the last one's."""
    shades = ListedColormap(matplotlib.colormaps["viridis_r"](np.linspace(*SHADES, 256)))
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), shades), ax=axes, pad=0.02, aspect=30)
    bar.set_ticks([0, 1], labels=["first", "last"])
    bar.set_label("layer", labelpad=-14)
    bar.outline.set_visible(False)
