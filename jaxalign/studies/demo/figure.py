"""The picture of the demo: curves of every layer, with the values read off the authors' figure."""

from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from pandas import DataFrame

from jaxalign.studies.demo.published import CIFAR, FALLS, LAYERS, READ, TAU
from jaxalign.style.figures import MUTED, STYLE, colours_by_depth, line_style

COLOURS = colours_by_depth(LAYERS)


def figure(config: Any, table: DataFrame) -> Figure:
    """A panel per data set, mean and range over seeds.

    The values read off the figure lie on the panel of CIFAR-10, or have a panel of their own.
    """
    data = table["data"].unique()
    own_panel = CIFAR not in data
    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=(11, 4.9), layout="constrained")
        panels = drawing.subplots(1, len(data) + own_panel, sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, data, strict=False):
            of_data = table[table["data"] == name]
            _curves(axes, of_data)
            shown = "mean and range"
            if name == CIFAR:
                _published(axes, lines=False)
                shown = "with the authors' figure as points"
            axes.set(title=f"{name}, {of_data['seed'].nunique()} networks: {shown}")
        if own_panel:
            _published(panels[-1], lines=True)
            panels[-1].set(title="The authors' figure, on CIFAR-10, as read off to ±0.01")
        for axes in panels:
            axes.set(xlabel="threshold τ on the singular values", xlim=(0, 30), ylim=(0, 1.02))
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        panels[0].set(ylabel="A(τ) / ‖y‖²")
        handles, labels = panels[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=9)
    return drawing


def _curves(axes: Axes, table: DataFrame) -> None:
    for layer, colour in COLOURS.items():
        name = layer.replace("_", " ")
        of_seeds = table[table["layer"] == layer].groupby("tau")
        trained = of_seeds["trained"].agg(["min", "mean", "max"])
        tau = trained.index
        # A(τ) is left-continuous: each value holds for the thresholds up to it.
        band: dict[str, Any] = {"color": colour, "alpha": 0.2, "linewidth": 0, "step": "pre"}
        axes.fill_between(tau, trained["min"], trained["max"], **band)
        style = {"color": colour, "drawstyle": "steps-pre", **line_style(layer)}
        axes.plot(tau, trained["mean"], label=name, **style)
        if layer == LAYERS[-1]:
            untrained = of_seeds["untrained"].mean()
            chance = of_seeds["chance_trained"].mean()
            thin: dict[str, Any] = {"drawstyle": "steps-pre"}
            axes.plot(tau, untrained, "-.", c=colour, lw=1.2, label=f"{name}, untrained", **thin)
            axes.plot(tau, chance, ":", c=MUTED, lw=1.4, label=f"random targets in {name}", **thin)


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
