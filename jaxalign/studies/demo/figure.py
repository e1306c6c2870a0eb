"""The picture of the demo: curves of every layer, with the values read off the authors' figure, and
alignment by the scale of the initial weights.
"""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter
from pandas import DataFrame

from jaxalign.studies.demo.curves import LECUN, TORCH, from_start, mean_share
from jaxalign.studies.demo.published import CIFAR, FALLS, HIDDEN, LAST, LAYERS, READ, TAU
from jaxalign.studies.demo.starts import scales_of
from jaxalign.style.figures import MUTED, STYLE, colours_by_depth, line_style
from jaxalign.style.layout import WIDE, Layout, panels, set_title
from jaxalign.style.legends import labelled, legend_of

COLOURS = colours_by_depth(LAYERS)
HEIGHT = 4.2
LECUN_SCALE = np.sqrt(3)
"""The standard deviation of LeCun's initial weights, over that of torch's."""


def figure(config: Any, table: DataFrame, layout: Layout = WIDE) -> Figure:
    """A panel per data set, mean and range over seeds, and one for the scales of initial weights.

    The values read off the figure lie on the panel of CIFAR-10, or have a panel of their own.
    """
    data = list(table["data"].unique())
    of_last = table[table["data"] == data[-1]]
    own_panel = CIFAR not in data
    has_scales = len(scales_of(of_last)) > 1
    count = len(data) + own_panel + has_scales
    with matplotlib.rc_context(STYLE):
        drawing, drawn = panels(count, HEIGHT, layout)
        _curves_of_all(drawn[: len(data) + own_panel], data, from_start(table))
        legend_of(drawing, labelled(drawn[0]))
        if has_scales:
            _by_scale(drawn[-1], data[-1], of_last)
        for axes in drawn:
            axes.set(ylim=(0, 1.02))
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        drawn[0].set(ylabel="A(τ) / ‖y‖²")
    return drawing


def _curves_of_all(drawn: list[Axes], data: list[str], table: DataFrame) -> None:
    for axes, name in zip(drawn, data, strict=False):
        of_data = table[table["data"] == name]
        _curves(axes, of_data)
        shown = "mean and range"
        if name == CIFAR:
            _published(axes, lines=False)
            shown = "the authors' figure as points"
        set_title(axes, f"{name}, {of_data['seed'].nunique()} networks: {shown}")
    if len(drawn) > len(data):
        _published(drawn[-1], lines=True)
        set_title(drawn[-1], "The authors' figure, on CIFAR-10, as read off to ±0.01")
    for axes in drawn:
        axes.set(xlabel="threshold τ on the singular values", xlim=(0, 30))


def _curves(axes: Axes, table: DataFrame) -> None:
    """Curves as the notebook draws them: straight lines between its thresholds."""
    for layer, colour in COLOURS.items():
        name = layer.replace("_", " ")
        of_seeds = table[table["layer"] == layer].groupby("tau")
        trained = of_seeds["trained"].agg(["min", "mean", "max"])
        tau = trained.index
        axes.fill_between(tau, trained["min"], trained["max"], color=colour, alpha=0.2, linewidth=0)
        axes.plot(tau, trained["mean"], label=name, color=colour, **line_style(layer))
        if layer == LAST:
            untrained, chance = of_seeds["untrained"].mean(), of_seeds["chance"].mean()
            axes.plot(tau, untrained, "-.", c=colour, lw=1.2, label=f"{name}, untrained")
            axes.plot(tau, chance, ":", c=MUTED, lw=1.4, label=f"random targets in {name}")


def _published(axes: Axes, *, lines: bool) -> None:
    points: dict[str, Any] = {"markersize": 5, "markerfacecolor": "white", "markeredgewidth": 1.5}
    for layer, colour in COLOURS.items():
        axes.plot(TAU, READ[layer], "o", color=colour, clip_on=False, **points)
        if lines:
            above = [tau for tau in TAU if tau < FALLS[layer]]
            values = READ[layer][: len(above)]
            axes.plot(above, values, color=colour, zorder=1, **line_style(layer))
            # Where exactly the curve falls was not read, hence the dotted line.
            end = [above[-1], FALLS[layer]]
            axes.plot(end, [values[-1], 0], ":", color=colour, linewidth=1.2, zorder=1)


def _by_scale(axes: Axes, data: str, table: DataFrame) -> None:
    """Mean of each hidden layer's curve by the scale of the initial weights, all networks."""
    scales = scales_of(table)
    for layer in HIDDEN:
        of_layer = table[table["layer"] == layer]
        for column, style in (("trained", "-"), ("untrained", "-.")):
            shares = [mean_share(from_start(of_layer, TORCH, scale), column) for scale in scales]
            means = [share.mean() for share in shares]
            axes.plot(scales, means, style, color=COLOURS[layer], lw=1.2)
            if column == "trained":
                _points(axes, layer, scales, shares, "o")
        _points(
            axes, layer, [LECUN_SCALE], [mean_share(from_start(of_layer, LECUN), "trained")], "D"
        )
    axes.set_xscale("log")
    axes.set_xticks(scales, [f"{scale:g}" for scale in scales])
    axes.xaxis.set_minor_locator(NullLocator())
    set_title(axes, f"{data}: mean of each curve, by initial weights")
    axes.set(xlabel="scale of the initial weights,\nover torch's (◇ LeCun's)")


def _points(axes: Axes, layer: str, scales: list[float], shares: list[Any], marker: str) -> None:
    """A point for each network."""
    for scale, share in zip(scales, shares, strict=True):
        places = np.full(len(share), scale)
        axes.plot(places, share, marker, ms=4, mec=COLOURS[layer], mfc="white", mew=1)
