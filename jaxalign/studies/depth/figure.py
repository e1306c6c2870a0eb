"""The picture of depth: the last hidden layer's area by depth of the network, with the nulls."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from jaxalign._features import INPUT
from jaxalign.statistics import mean_interval
from jaxalign.studies.depth.table import by_depth, hidden_layers, last_layer
from jaxalign.style.figures import MUTED, STYLE

TRAINED = "#0072b2"
RANDOM = "#d55e00"


def figure(config: Any, table: DataFrame) -> Figure:
    """A panel per data set: means over seeds with 95 % intervals."""
    problems = table["problem"].unique()
    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=(5.4 * len(problems), 4.4), layout="constrained")
        panels = drawing.subplots(1, len(problems), sharey=True, squeeze=False)[0]
        for axes, problem in zip(panels, problems, strict=True):
            _panel(axes, table[table["problem"] == problem])
            axes.set(title=problem, xlabel="hidden layers")
        # Panels share this axis: its limit is set once all are drawn.
        panels[0].set(ylabel="area  ∫A dτ / (‖y‖²√n)", ylim=(0, None))
        handles, labels = panels[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=9)
    return drawing


def _panel(axes: Axes, table: DataFrame) -> None:
    real = table[table["labels"] == "real"]
    random = table[table["labels"] == "random"]
    last = last_layer(real)
    depths = np.sort(table["depth"].unique())

    def line(part, state, label, **style):
        mean = mean_interval(by_depth(part, state))
        spread = [mean.value - mean.low, mean.high - mean.value]
        axes.errorbar(depths, mean.value, yerr=spread, label=label, ms=5, capsize=0, **style)

    dashed = {"marker": "s", "linestyle": "--", "alpha": 0.7}
    line(last, "trained", "last hidden layer", color=TRAINED, marker="o")
    line(hidden_layers(real), "trained", "mean of hidden layers", color=TRAINED, **dashed)
    line(last, "untrained", "last layer, untrained", color=MUTED, marker="o", mfc="white")
    if len(random):
        nulls = last_layer(random)
        line(nulls, "trained", "last layer, random labels", color=RANDOM, marker="^")
    inputs = real.loc[real["layer"] == INPUT, "trained"].mean()
    axes.axhline(inputs, color=MUTED, linestyle=":", linewidth=1.4, label="inputs")
    axes.set_xticks(depths)
