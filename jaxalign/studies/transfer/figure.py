"""The picture of the transfer study: alignment gain against transfer gain, a panel a cell."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from jaxalign.studies.transfer.gains import NAMES, Finding
from jaxalign.style.figures import INK, MUTED, STYLE

VISIBLE = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, 256))
TITLES = {
    "hyperplane": "Pratt's: a line turned",
    "box": "Pratt's: a box moved",
    "peaks": "Caruana's: peaks functions",
}
GAINS = {
    "speed": "log-loss while learning,\nreference − trained (nats)",
    "accuracy": "test accuracy,\ntrained − reference",
}


def draw(found: Sequence[Finding], layer: str) -> Figure:
    """A column a problem, a row a measure of transfer and a reference; a point a network and
    target.
    """
    problems, kinds = (
        list(dict.fromkeys(x))
        for x in zip(*((f.problem, (f.measure, f.reference)) for f in found), strict=True)
    )
    with matplotlib.rc_context(STYLE):
        figure = Figure(
            figsize=(3.4 * len(problems) + 1.2, 2.75 * len(kinds) + 0.9), layout="constrained"
        )
        panels = figure.subplots(
            len(kinds), len(problems), sharex=True, sharey="row", squeeze=False
        )
        colours = matplotlib.cm.ScalarMappable(Normalize(0, 1), ListedColormap(VISIBLE))
        for each in found:
            _scatter(
                panels[kinds.index((each.measure, each.reference)), problems.index(each.problem)],
                each,
                colours,
            )
        for axes, problem in zip(panels[0], problems, strict=True):
            axes.set_title(TITLES[problem])
        for axes, (measure, reference) in zip(panels[:, 0], kinds, strict=True):
            axes.set_ylabel(f"gain over {NAMES[reference]}\n{GAINS[measure]}", fontsize=9)
            low, high = axes.get_ylim()
            axes.set_ylim(low - 0.3 * (high - low), high)  # room for what is written there
        figure.supxlabel(
            f"alignment gain in {layer}: area/(‖y‖²√n), trained − reference", fontsize=10
        )
        bar = figure.colorbar(colours, ax=panels, location="right", aspect=50, pad=0.01)
        bar.set_label("dial: 0 the source task, 1 independent of it")
        bar.outline.set_visible(False)
    return figure


def _scatter(axes: Axes, found: Finding, colours: matplotlib.cm.ScalarMappable) -> None:
    x, y = found.gains.alignment, found.gains.transfer
    dials = np.broadcast_to(found.gains.dials, x.shape)
    axes.axhline(0, color=INK, linewidth=0.9, zorder=1)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.scatter(x, y, s=13, c=colours.to_rgba(dials.ravel()), alpha=0.8, linewidths=0, zorder=2)
    rho, within = found.correlation, found.within
    text = (
        f"ρ = {rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}]\n"
        f"within dial {within.value:.2f} [{within.low:.2f}, {within.high:.2f}]\n"
        f"null |ρ| < {found.null:.2f}"
    )
    axes.text(
        0.97, 0.04, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=8.5, color=INK, zorder=4,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5},
    )  # fmt: skip
    axes.xaxis.set_major_locator(MultipleLocator(0.2))
    axes.tick_params(labelcolor=MUTED)
