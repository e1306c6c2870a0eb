"""The picture of transfer: alignment gain against transfer gain, a panel per cell."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from pandas import DataFrame

from jaxalign.studies.transfer.findings import Finding, findings_of
from jaxalign.studies.transfer.gains import NAMES
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


def figure(config: Any, table: DataFrame) -> Figure:
    """A column per problem, a row per measure of transfer and reference; a point per network and
    target.
    """
    findings = findings_of(table)
    problems = list(dict.fromkeys(finding.problem for finding in findings))
    kinds = list(dict.fromkeys((finding.measure, finding.reference) for finding in findings))
    size = (3.4 * len(problems) + 1.2, 2.75 * len(kinds) + 0.9)
    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=size, layout="constrained")
        panels = drawing.subplots(
            len(kinds), len(problems), sharex=True, sharey="row", squeeze=False
        )
        colours = matplotlib.cm.ScalarMappable(Normalize(0, 1), ListedColormap(VISIBLE))
        for finding in findings:
            row = kinds.index((finding.measure, finding.reference))
            _panel(panels[row, problems.index(finding.problem)], finding, colours)
        for axes, problem in zip(panels[0], problems, strict=True):
            axes.set_title(TITLES[problem])
        for axes, (measure, reference) in zip(panels[:, 0], kinds, strict=True):
            axes.set_ylabel(f"gain over {NAMES[reference]}\n{GAINS[measure]}", fontsize=9)
            # Room for the text at the lower end.
            low, high = axes.get_ylim()
            axes.set_ylim(low - 0.3 * (high - low), high)
        layer = table["layer"].iloc[-1]
        text = f"alignment gain in {layer}: area/(‖y‖²√n), trained − reference"
        drawing.supxlabel(text, fontsize=10)
        bar = drawing.colorbar(colours, ax=panels, location="right", aspect=50, pad=0.01)
        bar.set_label("dial: 0 the source task, 1 independent of it")
        bar.outline.set_visible(False)
    return drawing


def _panel(axes: Axes, finding: Finding, colours: matplotlib.cm.ScalarMappable) -> None:
    x = finding.gains.alignment
    y = finding.gains.transfer
    dials = np.broadcast_to(finding.gains.dials, x.shape)
    axes.axhline(0, color=INK, linewidth=0.9, zorder=1)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.scatter(x, y, s=13, c=colours.to_rgba(dials.ravel()), alpha=0.8, linewidths=0, zorder=2)
    rho = finding.correlation(confidence=0.95)
    within = finding.within(confidence=0.95)
    text = (
        f"ρ = {rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}]\n"
        f"within dial {within.value:.2f} [{within.low:.2f}, {within.high:.2f}]"
    )
    axes.text(
        0.97,
        0.04,
        text,
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=8.5,
        color=INK,
        zorder=4,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5},
    )
    axes.xaxis.set_major_locator(MultipleLocator(0.2))
    axes.tick_params(labelcolor=MUTED)
