"""The picture of transfer: alignment gain against transfer gain, a panel per cell."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from jaxalign.statistics import Interval
from jaxalign.studies.transfer.design import BOX, LINE, NATURAL, PEAKS
from jaxalign.studies.transfer.findings import (
    Finding,
    correlation,
    correlation_at_targets,
    findings_of,
)
from jaxalign.studies.transfer.gains import NAMES
from jaxalign.style.figures import INK, MUTED, STYLE
from jaxalign.style.layout import WIDE, Layout, grid, label_below, label_rows, set_title

HEIGHT = 2.3
ALIGNMENT = (
    "alignment gain of the last hidden layer, area/(‖y‖²√n): frozen − reference "
    "(of training from scratch: untrained)"
)
VISIBLE = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, 256))
TITLES = {
    LINE: "Pratt's: a line turned",
    BOX: "Pratt's: a box moved",
    PEAKS: "Caruana's: peaks functions",
    NATURAL: "CIFAR-10: pairs of classes",
}


def figure(config: Any, table: DataFrame, layout: Layout = WIDE) -> Figure:
    """A column per problem, a row per reference; a point per network, target and length of
    training, and a line per level of the dial, from the shortest training to the longest, of means
    over networks.
    """
    findings = findings_of(table)
    problems = list(dict.fromkeys(finding.problem for finding in findings))
    heights = (HEIGHT,) * len(NAMES)
    with matplotlib.rc_context(STYLE):
        drawing, panels = grid([heights] * len(problems), layout, share_x=True, share_y=True)
        colours = ScalarMappable(Normalize(0, 1), ListedColormap(VISIBLE))
        for axes, finding in zip(panels.T.ravel(), findings, strict=True):
            _panel(axes, finding, colours)
        # The first row; ρ at one target is the same in all.
        for axes, finding in zip(panels[0], findings[:: len(NAMES)], strict=True):
            at_targets = _in_words(correlation_at_targets(finding.gains))
            set_title(axes, TITLES[finding.problem], "at one target", f"ρ = {at_targets}")
        label_rows(panels, [f"accuracy, gain over\n{name}" for name in NAMES.values()])
        for axes in panels[:, 0]:
            # Room for the text at the lower end.
            low, high = axes.get_ylim()
            axes.set_ylim(low - 0.3 * (high - low), high)
        label_below(drawing, ALIGNMENT)
        bar = drawing.colorbar(
            colours, ax=panels, location="top", aspect=8 * layout.width, pad=0.01
        )
        bar.set_label("dial: 0 like the source task, 1 unlike it")
        bar.outline.set_visible(False)
    return drawing


def _panel(axes: Axes, finding: Finding, colours: ScalarMappable) -> None:
    gains = finding.gains
    axes.axhline(0, color=INK, linewidth=0.9, zorder=1)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.scatter(
        gains["alignment"],
        gains["transfer"],
        s=6,
        c=colours.to_rgba(gains["dial"]),
        alpha=0.35,
        linewidths=0,
        zorder=2,
        rasterized=True,  # thousands of points
    )
    for dial, level in gains.groupby("dial"):
        means = level.groupby("steps")[["alignment", "transfer"]].mean()
        axes.plot(
            *means.to_numpy().T,
            "-o",
            color=colours.to_rgba(dial),
            # The mark is the end of training.
            markevery=[-1],
            markersize=6,
            markeredgecolor="white",
            markeredgewidth=0.6,
            zorder=3,
        )
    axes.text(
        0.97,
        0.04,
        f"ρ = {_in_words(correlation(gains))}".replace(" [", "\n["),
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=9,
        color=INK,
        zorder=4,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5},
    )
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.tick_params(labelcolor=MUTED)


def _in_words(effect: Interval) -> str:
    rho = effect(confidence=0.95)
    return f"{rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}]"
