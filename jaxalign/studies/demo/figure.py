"""The picture of the demo: curves of every layer, ours and, as points, what was read off the
authors' figure.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from jaxalign.studies.demo.read import FALLS, LAYERS, READ, TAU
from jaxalign.studies.framework.study import Row, column, distinct, where
from jaxalign.style.figures import MUTED, STYLE, colours_by_depth, line_style

COLOURS = colours_by_depth(LAYERS)


def figure(config: Any, rows: Sequence[Row]) -> Figure:
    """A panel a data set, mean and range over seeds; the values read lie on CIFAR-10's, or have one
    of their own.
    """
    data = distinct(rows, "data")
    measured_read = "CIFAR-10" in data
    with matplotlib.rc_context(STYLE):
        drawn = Figure(figsize=(11, 4.9), layout="constrained")
        panels = drawn.subplots(1, len(data) + (not measured_read), sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, data, strict=False):
            _curves(axes, where(rows, {"data": name}))
            told = "with the authors' figure as points" if name == "CIFAR-10" else "mean and range"
            axes.set(title=f"{name}, {len(set(column(rows, 'seed')))} networks: {told}")
            if name == "CIFAR-10":
                _read(axes, lines=False)
        if not measured_read:
            _read(panels[-1], lines=True)
            panels[-1].set(title="The authors' figure, on CIFAR-10, as read off to ±0.01")
        for axes in panels:
            axes.set(xlabel="threshold τ on the singular values", xlim=(0, 30), ylim=(0, 1.02))
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        panels[0].set(ylabel="A(τ) / ‖y‖²")
        drawn.legend(
            *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=9
        )
    return drawn


def _curves(axes: Axes, rows: Sequence[Row]) -> None:
    tau = np.unique(column(rows, "tau"))
    for layer, colour in COLOURS.items():
        name = layer.replace("_", " ")
        trained, untrained, chance = (
            _by_seed(rows, layer, what) for what in ("trained", "untrained", "chance_trained")
        )
        axes.fill_between(
            tau, trained.min(axis=0), trained.max(axis=0), color=colour, alpha=0.2, linewidth=0
        )
        axes.plot(tau, trained.mean(axis=0), color=colour, label=name, **line_style(layer))
        if layer == LAYERS[-1]:
            axes.plot(
                tau,
                untrained.mean(axis=0),
                "-.",
                color=colour,
                linewidth=1.2,
                label=f"{name}, untrained",
            )
            axes.plot(
                tau,
                chance.mean(axis=0),
                ":",
                color=MUTED,
                linewidth=1.4,
                label=f"random targets in {name}",
            )


def _by_seed(rows: Sequence[Row], layer: str, what: str) -> np.ndarray:
    """(seeds, g), τ rising."""
    of_layer = sorted(where(rows, {"layer": layer}), key=lambda row: (row["seed"], row["tau"]))
    return np.array(column(of_layer, what)).reshape(len(set(column(of_layer, "seed"))), -1)


def _read(axes: Axes, *, lines: bool) -> None:
    for layer, colour in COLOURS.items():
        axes.plot(
            TAU,
            READ[layer],
            "o",
            color=colour,
            markersize=5,
            markerfacecolor="white",
            markeredgewidth=1.5,
            clip_on=False,
        )
        if lines:
            above = [t for t in TAU if t < FALLS[layer]]
            axes.plot(above, READ[layer][: len(above)], color=colour, zorder=1, **line_style(layer))
            last = READ[layer][len(above) - 1]
            axes.plot(
                [above[-1], FALLS[layer]], [last, 0], ":", color=colour, linewidth=1.2, zorder=1
            )
