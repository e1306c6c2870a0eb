"""The pictures of a run, from its history alone: alignment by step, curve by layer, and step ×
threshold.

Of several models the lines are medians, and the bands around them their 95 % intervals.
"""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from jaxalign._features import INPUT
from jaxalign.report.run.summary import (
    chance_at,
    last_layer,
    middle_threshold,
    model_layers,
    of_layer,
    over_models,
)
from jaxalign.runs import History
from jaxalign.runs._folder import PICTURES
from jaxalign.statistics import Estimate
from jaxalign.style.figures import MUTED, STYLE, colours_by_depth, line_style


def all_figures(history: History) -> dict[str, Figure]:
    """Every picture of a run, by file name."""
    return dict(
        zip(
            PICTURES,
            (alignment_by_step(history), curve_by_layer(history), threshold_heat_map(history)),
            strict=True,
        )
    )


def alignment_by_step(history: History) -> Figure:
    """Two panels over steps, a line a layer: A(τ)/‖y‖² at the middle threshold, and the area over
    ‖y‖².
    """
    middle = middle_threshold(history)
    tau = history.thresholds[middle]
    seeds, total = over_models(history), history.total
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 4.2), layout="constrained")
        at_threshold, area = figure.subplots(1, 2)
        for name, colour in layer_colours(history).items():
            record, style = (
                of_layer(seeds, name),
                {"color": colour, "label": name, **line_style(name)},
            )
            _draw(
                at_threshold,
                history.measured,
                record.map(lambda r: r.alignment[:, middle] / total),
                style,
            )
            _draw(area, history.measured, record.map(lambda r: r.area / total), style)
        last = last_layer(history)
        chance = chance_at(seeds.value, last, tau)
        at_threshold.plot(
            history.measured,
            chance,
            ":",
            color=MUTED,
            linewidth=1.2,
            label=f"random labels in {last}",
        )
        at_threshold.set(
            title=f"Share of the labels along directions with σ ≥ {tau:g}", ylim=(0, 1.02)
        )
        at_threshold.yaxis.set_major_formatter(PercentFormatter(1))
        area.set(title="Area under the whole curve  ∫A dτ / ‖y‖²", ylim=(0, None))
        for axes in (at_threshold, area):
            _step_axis(axes, history)
        at_threshold.legend(loc="best", fontsize=9)
    return figure


def curve_by_layer(history: History) -> Figure:
    """A panel a layer: A(τ)/‖y‖² untrained and trained, beside the inputs' curve and that of random
    labels.
    """
    names = model_layers(history)
    seeds, total = over_models(history), history.total
    with matplotlib.rc_context(STYLE):
        columns = min(len(names), 4)
        rows = -(-len(names) // columns)
        figure = Figure(figsize=(3.1 * columns + 0.6, 3.0 * rows + 0.6), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        colours = layer_colours(history)
        for axes, name in zip(panels.flat, names, strict=False):
            if INPUT in history.layers:
                inputs = seeds.value.layers[INPUT].curve[-1] / total
                axes.plot(
                    history.grid, inputs, color=colours[INPUT], label="input", **line_style(INPUT)
                )
            record = of_layer(seeds, name)
            axes.plot(
                history.grid,
                record.value.null[-1] / total,
                ":",
                color=MUTED,
                linewidth=1.2,
                label="random labels",
            )
            untrained = {"color": colours[name], "alpha": 0.45, "label": "untrained"}
            trained = {"color": colours[name], "linewidth": 2.4, "label": "trained"}
            _draw(axes, history.grid, record.map(lambda r: r.curve[0] / total), untrained)
            _draw(axes, history.grid, record.map(lambda r: r.curve[-1] / total), trained)
            axes.set(title=name, xlim=(0, history.grid[-1]), ylim=(0, 1.02))
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        for axes in panels.flat[len(names) :]:
            axes.set_visible(False)
        figure.supxlabel("threshold τ on the singular values", fontsize=10)
        figure.supylabel("A(τ) / ‖y‖²", fontsize=10)
        panels.flat[0].legend(loc="upper right", fontsize=8.5)
    return figure


def threshold_heat_map(history: History) -> Figure:
    """Step × threshold for the last layer: colour is A(τ)/‖y‖², with the contour where half of the
    labels is left.
    """
    name = last_layer(history)
    share = np.array(over_models(history).value.layers[name].curve.T / history.total)
    share[:, np.isnan(share).any(axis=0)] = (
        np.nan
    )  # a diverged step is blank, also at τ = 0, where A is ‖y‖² all the same
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 3.8), layout="constrained")
        axes = figure.subplots()
        edges = np.append(history.measured, history.step[-1] + 1)
        between = (history.grid[1:] + history.grid[:-1]) / 2
        tau_edges = np.concatenate([[history.grid[0]], between, [history.grid[-1]]])
        mesh = axes.pcolormesh(
            edges, tau_edges, share, cmap="viridis", vmin=0, vmax=1, rasterized=True
        )
        if len(history.measured) > 1 and (share < 0.5).any() and (share > 0.5).any():
            axes.contour(
                history.measured, history.grid, share, levels=[0.5], colors="white", linewidths=1.2
            )
        _step_axis(axes, history)
        axes.grid(visible=False)
        axes.set(
            title=f"{name}: labels along directions with σ ≥ τ  (white: half of them)",
            ylabel="threshold τ",
        )
        figure.colorbar(mesh, ax=axes, label="A(τ) / ‖y‖²", format=PercentFormatter(1), pad=0.01)
    return figure


def layer_colours(history: History) -> dict[str, str]:
    """Grey for the inputs, then light to dark from the first layer to the last."""
    return colours_by_depth(list(history.layers))


def _draw(axes: Axes, x: np.ndarray, y: Estimate, style: dict[str, Any]) -> None:
    """A line and, of several models, the band around it; ``style`` is the line's."""
    axes.plot(x, y.value, **style)
    if y.n > 1:
        axes.fill_between(
            x, y.low, y.high, color=style["color"], alpha=0.2 * style.get("alpha", 1.0), linewidth=0
        )


def _step_axis(axes: Axes, history: History) -> None:
    """Steps 0...10 evenly, then by decades: most happens early."""
    last = int(history.step[-1])
    axes.set(xlabel="training step", xlim=(0, max(last, 1)))
    if last > 10:
        axes.set_xscale("symlog", linthresh=10, linscale=0.6)
        decades = [10**e for e in range(1, int(np.log10(last)) + 1)]
        axes.set_xticks([0, *(d for d in decades if d < last / 2), last])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
