"""The picture of speed: alignment, steps and accuracy, and their rank correlations."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from jaxalign._features import INPUT
from jaxalign.statistics import Estimate
from jaxalign.studies.shared.held_out import HELD_OUT
from jaxalign.studies.speed.design import Config
from jaxalign.studies.speed.table import (
    CELL,
    ON_CLASSES,
    ON_SPLIT,
    PERMUTED,
    TRAINED,
    UNTRAINED,
    association,
    of_networks,
    of_splits,
    over_splits,
    within_networks,
)
from jaxalign.style.figures import INK, MUTED, STYLE
from jaxalign.style.layout import WIDE, Layout, panels, set_title

HEIGHT = 5.0
LEGEND: Any = {"fontsize": 9, "frameon": True, "framealpha": 1, "edgecolor": "none"}
"""Of a legend on a line, which it hides."""
CORRELATIONS = (-1, -0.5, 0, 0.5, 1)
AREA = "area under the curve\n∫A dτ / (√n A(0⁺))"
UNSEEN = "#7b5aa6"
STATES = {
    INPUT: ("inputs", "s", INK),
    UNTRAINED: ("untrained layers", "o", "#3b8fc4"),
    TRAINED: ("trained layers", "^", "#d1742b"),
}
KINDS = {INPUT: INK, UNTRAINED: "#3b8fc4", ON_SPLIT: "#d1742b", ON_CLASSES: "#2e8b57"}
"""Representations that learn all splits."""
NULL: dict[str, Any] = {"marker": "D", "markerfacecolor": "white"}
OUTCOME: dict[str, Any] = {"marker": "s", "markerfacecolor": "white"}

Line = tuple[str, Estimate | None, Estimate | None, Estimate | None]


def figure(config: Config, table: DataFrame, layout: Layout = WIDE) -> Figure:
    """Layers of networks on top: area against steps, a point per representation, and ρ with its
    interval in each cell, with that of the null. All even splits of ten classes below: area against
    accuracy on other rows, a point per split, and ρ of each kind of representation.
    """
    # A part of a design may have no splits.
    has_splits = bool(of_splits(table))
    with matplotlib.rc_context(STYLE):
        drawing, (points, correlations, *others) = panels(
            4 if has_splits else 2, HEIGHT, layout, columns=2
        )
        _points(points, config, table)
        _correlations(correlations, config, table)
        if has_splits:
            accuracy, splits = others
            _accuracy(accuracy, table)
            _splits(splits, config, table)
    return drawing


def _points(axes: Axes, config: Config, table: DataFrame) -> None:
    # Descents that do not get that far lie in a band above the horizon, spread at random.
    band = 1.6 * config.horizon
    jitter = np.random.default_rng(0)
    true = of_networks(table)
    groups = [(of_networks(table, labels=PERMUTED), "permuted labels", ".", MUTED)]
    groups += [(true[true["state"] == state], *style) for state, style in STATES.items()]
    for rows, name, mark, colour in groups:
        reached = rows["steps"].to_numpy() <= config.horizon
        steps = np.where(reached, rows["steps"], band)
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
    axes.set(xlabel=AREA)
    axes.set(ylabel=f"steps of gradient descent until {config.share:g} of A(0⁺) is left")
    set_title(axes, "A point", "a representation")
    axes.set(xlim=(0, None), ylim=(0.6, 2.2 * config.horizon))
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.88), fontsize=9, markerscale=1.4)


def _correlations(axes: Axes, config: Config, table: DataFrame) -> None:
    true = of_networks(table)
    permuted = of_networks(table, labels=PERMUTED)
    held_out = of_networks(table, rows=HELD_OUT)
    over_all = association(true, resamples=config.resamples)
    null_over_all = association(true, other=permuted, resamples=config.resamples)
    others = association(held_out, resamples=config.resamples)
    lines: list[Line] = [("all", over_all, others, null_over_all)]
    nulls, elsewhere = (dict(list(rows.groupby(CELL))) for rows in (permuted, held_out))
    for cell, own in reversed(list(true.groupby(CELL, sort=False))):
        problem, architecture = cell
        null = within_networks(own, other=nulls[cell])
        unseen = within_networks(elsewhere[cell])
        lines.append((f"{architecture},\n{problem}", within_networks(own), unseen, null))
    for y, (_, rho, unseen_rho, null_rho) in enumerate(lines):
        width = 2.4 if y == 0 else 1.4
        _interval(axes, y + 0.2, rho, color=INK, marker="o", linewidth=width)
        _interval(axes, y, unseen_rho, color=UNSEEN, marker="o", linewidth=width)
        _interval(axes, y - 0.2, null_rho, color=MUTED, linewidth=width, **NULL)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.axhline(0.5, color=MUTED, linewidth=0.6)
    axes.plot([], [], "o-", color=INK, label="rows trained on", markersize=5)
    axes.plot([], [], "o-", color=UNSEEN, label="held-out rows", markersize=5)
    axes.plot([], [], color=MUTED, label="permuted labels", markersize=5, **NULL)
    axes.set_yticks(range(len(lines)), [name for name, *_ in lines], fontsize=9)
    # The legend lies below the lines.
    axes.set(xlim=(-1.05, 1.05), ylim=(-2.5, len(lines) - 0.4), xticks=CORRELATIONS)
    axes.set(xlabel="ρ of area and speed (−steps),\n95 % over networks")
    set_title(axes, "More aligned,", "fewer steps: ρ > 0")
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower left", **LEGEND)


def _accuracy(axes: Axes, table: DataFrame) -> None:
    """Area and accuracy of the splits of the data that come first, in the first draw."""
    kinds = of_splits(table)
    problem = next(iter(kinds))[0]
    for state, colour in KINDS.items():
        rows = kinds[problem, state]
        rows = rows[rows["network"] == 0]
        points: dict[str, Any] = {"s": 16, "color": colour, "alpha": 0.6, "linewidths": 0}
        axes.scatter(rows["area"], rows["accuracy"], label=state, **points)
    axes.set(xlabel=AREA, ylabel="accuracy of the head on held-out rows", xlim=(0, None))
    set_title(axes, "A point an even", f"split of {problem}")
    # The legend lies below the points.
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.3 * (high - low), high)
    axes.legend(loc="lower right", fontsize=9, markerscale=1.4)


def _splits(axes: Axes, config: Config, table: DataFrame) -> None:
    kinds = list(reversed(of_splits(table).items()))
    # The data are named in a line of their own, above their kinds.
    places = [i + i // len(KINDS) for i in range(len(kinds))]
    for y, ((problem, state), rows) in zip(places, kinds, strict=True):
        if state == INPUT:
            axes.text(-1, y + 1, problem, va="center", fontsize=9, fontweight="bold")
        speed = over_splits(rows, "area", "speed", config).interval(confidence=0.95)
        accuracy = over_splits(rows, "area", "accuracy", config).interval(confidence=0.95)
        _interval(axes, y + 0.13, speed, color=KINDS[state], marker="o", linewidth=1.4)
        _interval(axes, y - 0.13, accuracy, color=KINDS[state], linewidth=1.4, **OUTCOME)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.plot([], [], "o-", color=INK, label="speed", markersize=5)
    axes.plot([], [], color=INK, label="held-out accuracy", markersize=5, **OUTCOME)
    axes.set_yticks(places, [state for (_, state), _ in kinds], fontsize=9)
    axes.set(xlim=(-1.05, 1.05), ylim=(-2.6, places[-1] + 1.6), xticks=CORRELATIONS)
    axes.set(xlabel="ρ with area,\n95 % by permuting the classes")
    set_title(axes, "One representation,", "all even splits: ρ > 0")
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower left", **LEGEND)


def _interval(axes: Axes, y: float, rho: Estimate | None, *, color: str, **style) -> None:
    """A correlation as a point on its interval."""
    if rho is None:
        axes.text(0, y, "not defined", va="center", ha="center", fontsize=9, color=color)
        return
    linewidth = style.pop("linewidth")
    axes.plot([rho.low, rho.high], [y, y], color=color, linewidth=linewidth)
    axes.plot(rho.value, y, color=color, markersize=5, linestyle="none", **style)
