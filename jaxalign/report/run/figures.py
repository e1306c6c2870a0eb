"""The pictures of a run's alignment, by step, by layer, and step × threshold.

For several models the lines are medians, and the bands around them their 95 % intervals.
"""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from jaxalign.report.run.axes import (
    draw,
    layer_colours,
    layer_line,
    step_axis,
    titled,
)
from jaxalign.report.run.other_figures import measures_by_coordinate, measures_by_step
from jaxalign.report.run.quantities import arrays, scalars
from jaxalign.report.run.summary import RunSummary
from jaxalign.runs import is_input
from jaxalign.style.figures import BRIGHT, CHANCE, STEPS, STYLE, line_style
from jaxalign.style.layout import WIDE, Layout, panels, set_title
from jaxalign.style.legends import name_lines
from jaxalign.style.names import in_figure


def all_figures(run: RunSummary, layout: Layout = WIDE) -> dict[str, Figure]:
    """Every picture there is something to draw for, by file name."""
    logged = {measure for measures in run.shares.values() for measure in measures}
    figures = {}
    if logged & {"alignment", "area"}:
        figures["alignment_by_step"] = alignment_by_step(run, layout)
    if "curve" in logged:
        figures["curve_by_layer"] = curve_by_layer(run, layout)
    if run.headline and "curve" in run.shares[run.headline]:
        figures["threshold_heat_map"] = threshold_heat_map(run, layout)
    if scalars(run, run.history.layers):
        figures["measures_by_step"] = measures_by_step(run, layout)
    if arrays(run, run.history.layers):
        figures["measures_by_coordinate"] = measures_by_coordinate(run, layout)
    return figures


def alignment_by_step(run: RunSummary, layout: Layout = WIDE) -> Figure:
    """Two panels over steps, one line per layer: A(τ)/‖y‖² at the middle threshold, and the area
    over ‖y‖². One row per monitor.
    """
    contents = [
        (measure, names)
        for group in run.monitors.values()
        for measure in ("alignment", "area")
        if (names := [name for name in group if measure in run.shares[name]])
    ]
    with matplotlib.rc_context(STYLE):
        figure, drawn = panels(len(contents), 3.8, layout, columns=2)
        for axes, (measure, names) in zip(drawn, contents, strict=True):
            if measure == "alignment":
                _shares_over_steps(axes, run, names)
            else:
                _areas_over_steps(axes, run, names)
            step_axis(axes, run.history)
        name_lines(figure, drawn)
    return figure


def curve_by_layer(run: RunSummary, layout: Layout = WIDE) -> Figure:
    """One panel per layer: A(τ)/‖y‖² untrained and trained, with the curve of the inputs and that
    of chance.
    """
    names = [name for name, measures in run.shares.items() if "curve" in measures]
    # Where inputs alone were measured they have the panel.
    names = [name for name in names if not is_input(name)] or names
    with matplotlib.rc_context(STYLE):
        figure, drawn = panels(len(names), 2.6, layout, columns=4, shared=True)
        for axes, name in zip(drawn, names, strict=True):
            _curves(axes, run, name)
            set_title(axes, name)
        drawn[0].set(xlim=(0, max(run.axis(name, "curve")[-1] for name in names)), ylim=(0, 1.02))
        drawn[0].yaxis.set_major_formatter(PercentFormatter(1))
        figure.supxlabel("threshold τ on the singular values")
        figure.supylabel("A(τ) / ‖y‖²")
        name_lines(figure, drawn[:1], legend="outside upper left")
    return figure


def threshold_heat_map(run: RunSummary, layout: Layout = WIDE) -> Figure:
    """Step × threshold for the most aligned layer: colour is A(τ)/‖y‖², and a line follows the
    largest τ whose directions hold half of the targets.
    """
    name = run.headline
    if name is None:
        raise ValueError("the run logged no curve of which a heat map could be drawn")
    grid = run.axis(name, "curve")
    share = np.array(run.shares[name]["curve"].value.T)
    # A diverged step is blank, also at τ = 0, where A is ‖y‖² all the same.
    share[:, ~np.isfinite(share).all(axis=0)] = np.nan
    edges = np.append(run.steps_of(name, "curve"), run.history.step[-1] + 1)
    with matplotlib.rc_context(STYLE):
        figure, (axes,) = panels(1, 3.6, layout)
        # Between two points of the grid A is drawn at the value of the right one, as in curves.
        mesh = axes.pcolormesh(
            edges, grid, share[1:], cmap="viridis", vmin=0, vmax=1, rasterized=True
        )
        half = _half(grid, share)
        axes.step(edges, np.append(half, half[-1]), where="post", color=BRIGHT, linewidth=1.2)
        step_axis(axes, run.history)
        axes.grid(visible=False)
        set_title(axes, f"{name}: targets along σ ≥ τ (white: half of them)")
        axes.set(ylabel="threshold τ", ylim=(grid[0], grid[-1]))
        figure.colorbar(mesh, ax=axes, label="A(τ) / ‖y‖²", format=PercentFormatter(1), pad=0.01)
    return figure


def _shares_over_steps(axes: Axes, run: RunSummary, names: list[str]) -> None:
    """A(τ)/‖y‖² of every layer, and what it is by chance in the most aligned one."""
    for name in names:
        steps = run.steps_of(name, "alignment")
        draw(axes, steps, run.at_threshold(name), layer_line(run, name))
    headline = run.most_aligned(names)
    _draw_chance(axes, run, headline, "null_curve", run.chance(headline))
    title = f"Targets along σ ≥ {run.threshold(headline):g}"
    set_title(axes, titled(run, headline, title))
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def _areas_over_steps(axes: Axes, run: RunSummary, names: list[str]) -> None:
    """The area of every layer, and what it is by chance in the most aligned one."""
    for name in names:
        draw(axes, run.steps_of(name, "area"), run.shares[name]["area"], layer_line(run, name))
    headline = run.most_aligned(names)
    _draw_chance(axes, run, headline, "null_area", run.chance_area(headline))
    set_title(axes, titled(run, headline, "Area under the whole curve ∫A dτ / ‖y‖²"))
    axes.set_ylim(0, None)


def _draw_chance(
    axes: Axes, run: RunSummary, layer: str, measure: str, values: np.ndarray | None
) -> None:
    if values is not None:
        label = in_figure(f"{run.own_name(layer)} by chance")
        axes.plot(run.steps_of(layer, measure), values, label=label, **CHANCE)


def _curves(axes: Axes, run: RunSummary, name: str) -> None:
    measures = run.shares[name]
    colour = layer_colours(run)[name]
    grid = run.axis(name, "curve")
    monitor = run.monitors[run.monitor_of(name)]
    inputs = next((other for other in monitor if is_input(other) and run.shares[other]), None)
    if inputs not in (None, name) and "curve" in run.shares[inputs]:
        # On a fixed set no training changes the inputs: one of their curves stands for all.
        curve = run.shares[inputs]["curve"].value[-1]
        style = {"color": layer_colours(run)[inputs], **line_style(inputs)}
        axes.plot(run.axis(inputs, "curve"), curve, drawstyle=STEPS, label="input", **style)
    if "null_curve" in measures:
        null = measures["null_curve"].value[-1]
        null_grid = run.axis(name, "null_curve")
        axes.plot(null_grid, null, drawstyle=STEPS, label="by chance", **CHANCE)
    untrained = {"color": colour, "alpha": 0.45, "label": "untrained"}
    trained = {"color": colour, "linewidth": 2.4, "label": "trained"}
    curve = measures["curve"]
    draw(axes, grid, curve.map(lambda values: values[0]), untrained, step="pre")
    draw(axes, grid, curve.map(lambda values: values[-1]), trained, step="pre")


def _half(grid: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(r,) the largest τ of the grid with A(τ) ≥ ‖y‖²/2; NaN where a step diverged."""
    # The comparison is false for NaN, so that a diverged step counts no τ.
    reached = np.count_nonzero(share >= 0.5, axis=0)
    return np.where(reached > 0, grid[np.maximum(reached, 1) - 1], np.nan)
