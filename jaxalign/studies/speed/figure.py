"""The picture of speed: area and steps of every representation, and their rank correlations."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from jaxalign.statistics import Estimate
from jaxalign.studies.speed.table import CELL, PERMUTED, TRUE, association, within_networks
from jaxalign.style.figures import INK, MUTED, STYLE

STATES = {
    "input": ("inputs", "s", INK),
    "untrained": ("untrained layers", "o", "#3b8fc4"),
    "trained": ("trained layers", "^", "#d1742b"),
}


def figure(config: Any, table: DataFrame) -> Figure:
    """Two panels: area against steps, a point per representation; ρ with its interval in each cell,
    with that of the null.
    """
    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=(11.5, 5), layout="constrained")
        points, correlations = drawing.subplots(1, 2, width_ratios=(1.15, 1))
        _points(points, config, table)
        _correlations(correlations, config, table)
        handles, labels = correlations.get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower right", ncols=2, fontsize=9)
    return drawing


def _points(axes: Axes, config: Any, table: DataFrame) -> None:
    # Descents that do not get that far lie in a band above the horizon, spread at random.
    band = 1.6 * config.horizon
    jitter = np.random.default_rng(0)
    true = table[table["labels"] == TRUE]
    groups = [(table[table["labels"] == PERMUTED], "permuted labels", ".", MUTED)]
    groups += [(true[true["state"] == state], *style) for state, style in STATES.items()]
    for rows, name, mark, colour in groups:
        reached = rows["reached"].to_numpy(bool)
        steps = np.where(reached, np.minimum(rows["steps"], band), band)
        spread = np.where(reached, 1, np.exp(jitter.uniform(-0.2, 0.2, len(rows))))
        points: dict[str, Any] = {
            "s": 18,
            "marker": mark,
            "color": colour,
            "alpha": 0.6,
            "linewidths": 0,
        }
        axes.scatter(rows["area"], np.maximum(steps, 0.7) * spread, label=name, **points)
    axes.axhline(config.horizon, color=MUTED, linewidth=0.8)
    ticks = [10**e for e in range(int(np.log10(config.horizon)) + 1)]
    axes.set_yscale("log")
    axes.set_yticks([*ticks, band], [*(f"{tick:,}" for tick in ticks), "later"])
    axes.minorticks_off()
    axes.set(xlabel="area under the curve  ∫A dτ / (√n‖y‖²)")
    axes.set(ylabel=f"steps of gradient descent to a loss of {config.share:g}‖y‖²")
    axes.set(title="A point a representation", xlim=(0, None), ylim=(0.6, 2.2 * config.horizon))
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.88), fontsize=9, markerscale=1.4)


def _correlations(axes: Axes, config: Any, table: DataFrame) -> None:
    true = table[table["labels"] == TRUE]
    permuted = table[table["labels"] == PERMUTED]
    over_all = association(true, resamples=config.resamples)
    null_over_all = association(true, other=permuted, resamples=config.resamples)
    lines = [("all", over_all, null_over_all)]
    nulls = dict(list(permuted.groupby(CELL)))
    cells = list(true.groupby(CELL, sort=False))
    for (problem, architecture), own in reversed(cells):
        null = within_networks(own, other=nulls[problem, architecture])
        lines.append((f"{architecture}, {problem}", within_networks(own), null))
    for y, (_, rho, null_rho) in enumerate(lines):
        width = 2.4 if y == 0 else 1.4
        _interval(axes, y + 0.12, rho, color=INK, marker="o", linewidth=width)
        style = {"marker": "D", "markerfacecolor": "white"}
        _interval(axes, y - 0.18, null_rho, color=MUTED, linewidth=width, **style)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.axhline(0.5, color=MUTED, linewidth=0.6)
    axes.plot([], [], "o-", color=INK, label="true labels", markersize=5)
    null_name = "null: area with permuted labels"
    axes.plot([], [], "D-", color=MUTED, label=null_name, markersize=5, markerfacecolor="white")
    axes.set_yticks(range(len(lines)), [name for name, *_ in lines], fontsize=9)
    axes.set(xlim=(-1.05, 1.05), ylim=(-0.6, len(lines) - 0.4))
    axes.set(xlabel="Spearman's ρ of area and speed (−steps), 95 % over networks")
    axes.set(title="More aligned, fewer steps: ρ > 0")
    axes.grid(visible=False, axis="y")


def _interval(axes: Axes, y: float, rho: Estimate | None, *, color: str, **style) -> None:
    """A correlation as a point on its interval."""
    if rho is None:
        axes.text(0, y, "not defined", va="center", ha="center", fontsize=8, color=color)
        return
    linewidth = style.pop("linewidth")
    axes.plot([rho.low, rho.high], [y, y], color=color, linewidth=linewidth)
    axes.plot(rho.value, y, color=color, markersize=5, linestyle="none", **style)
