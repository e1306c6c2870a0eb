"""The picture of depth: the last hidden layer's area by the depth of its network, with the nulls."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxalign._features import INPUT
from jaxalign.statistics import mean_interval
from jaxalign.studies.framework.study import Row, column, distinct, where
from jaxalign.style.figures import MUTED, STYLE

TRAINED, RANDOM = "#0072b2", "#d55e00"


def figure(rows: Sequence[Row]) -> Figure:
    """A panel a data set: means over seeds with 95 % intervals."""
    problems = distinct(rows, "problem")
    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=(5.4 * len(problems), 4.4), layout="constrained")
        panels = drawing.subplots(1, len(problems), sharey=True, squeeze=False)[0]
        for axes, problem in zip(panels, problems, strict=True):
            _panel(axes, where(rows, {"problem": problem}))
            axes.set(title=problem, xlabel="hidden layers")
        panels[0].set(
            ylabel="area  ∫A dτ / (‖y‖²√n)", ylim=(0, None)
        )  # once, when all that share the axis are drawn
        handles, labels = panels[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=9)
    return drawing


def _panel(axes: Axes, rows: Sequence[Row]) -> None:
    real, random = where(rows, {"labels": "real"}), where(rows, {"labels": "random"})

    def last(part):
        return [row for row in part if row["position"] == row["depth"]]

    hidden = [row for row in real if row["layer"] != INPUT]
    _line(axes, last(real), "trained", "last hidden layer", color=TRAINED, marker="o")
    _line(
        axes,
        hidden,
        "trained",
        "mean of hidden layers",
        color=TRAINED,
        marker="s",
        linestyle="--",
        alpha=0.7,
    )
    _line(
        axes, last(real), "untrained", "last layer, untrained", color=MUTED, marker="o", mfc="white"
    )
    if random:
        _line(axes, last(random), "trained", "last layer, random labels", color=RANDOM, marker="^")
    inputs = np.mean(column(where(real, {"layer": INPUT}), "trained"))
    axes.axhline(inputs, color=MUTED, linestyle=":", linewidth=1.4, label="inputs")
    axes.set_xticks(sorted(set(column(rows, "depth"))))


def _line(axes: Axes, rows: Sequence[Row], state: str, label: str, **style) -> None:
    """The mean over seeds of each depth's mean over layers."""
    depths, seeds = sorted(set(column(rows, "depth"))), sorted(set(column(rows, "seed")))

    def mean(seed, depth):
        return np.mean(column(where(rows, {"seed": seed, "depth": depth}), state))

    at = mean_interval([[mean(seed, depth) for depth in depths] for seed in seeds])
    axes.errorbar(
        depths,
        at.value,
        yerr=[at.value - at.low, at.high - at.value],
        label=label,
        ms=5,
        capsize=0,
        **style,
    )
