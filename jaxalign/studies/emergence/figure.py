"""The picture of emergence: every cell before and after training, its inputs beside it."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxalign._features import INPUT
from jaxalign.statistics import mean_interval
from jaxalign.studies.framework.study import Row, column, distinct, where
from jaxalign.style.figures import FAINT, INK, MUTED, STYLE

BEFORE, AFTER = "#9aa3af", "#0072b2"


def figure(rows: Sequence[Row]) -> Figure:
    """A panel a data set, a line a cell: the last hidden layer untrained and trained, mean and 95 %
    interval over seeds.
    """
    problems = distinct(rows, "problem")
    lines, architectures = (
        distinct(rows, "architecture", "optimizer"),
        distinct(rows, "architecture"),
    )
    lines.sort(key=lambda line: architectures.index(line[0]))
    with matplotlib.rc_context(STYLE):
        drawing = Figure(
            figsize=(2.6 + 2.6 * len(problems), 1.3 + _line_height(lines) * len(lines)),
            layout="constrained",
        )
        panels = drawing.subplots(1, len(problems), sharey=True, squeeze=False)[0]
        for axes, problem in zip(panels, problems, strict=True):
            _panel(axes, where(rows, {"problem": problem}), lines)
            axes.set(
                title=problem,
                xlim=(0, 1),
                xticks=(0, 0.25, 0.5, 0.75),
                xticklabels=("0", ".25", ".5", ".75"),
            )
        _line_names(panels[0], lines)
        drawing.supxlabel(
            "area of the last hidden layer, ∫A dτ / (‖y‖²√n), between 0 and 1", fontsize=10
        )
        handles, labels = panels[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside upper right", ncols=3, fontsize=9)
    return drawing


def _panel(axes: Axes, rows: Sequence[Row], lines: Sequence[tuple[str, str]]) -> None:
    for y, (architecture, optimizer) in enumerate(lines):
        cell = where(rows, {"architecture": architecture, "optimizer": optimizer})
        if not cell:
            continue
        last = where(cell, {"last": True})
        if not np.isfinite(column(last, "trained")).all():
            axes.annotate("diverged", (0.02, y), va="center", fontsize=8, color=MUTED)
            continue
        before, after = (mean_interval(column(last, name)) for name in ("untrained", "trained"))
        label = (lambda text: text) if y == 0 else (lambda text: None)
        axes.plot(
            [before.value, after.value],
            [y, y],
            color=FAINT,
            linewidth=3,
            solid_capstyle="round",
            zorder=1,
        )
        axes.plot(
            before.value, y, "o", mfc="white", mec=BEFORE, ms=5, label=label("untrained"), zorder=3
        )
        spread = [[after.value - after.low], [after.high - after.value]]
        axes.errorbar(
            after.value,
            y,
            xerr=spread,
            fmt="o",
            color=AFTER,
            ms=4.5,
            lw=1.4,
            label=label("trained, 95 % interval"),
        )
        inputs = np.mean(column(where(cell, {"layer": INPUT}), "trained"))
        axes.plot(inputs, y, "|", color=INK, ms=8, mew=1.4, label=label("inputs"), zorder=2)
    for edge in _edges(lines):
        axes.axhline(edge, color=MUTED, linewidth=0.6)
    axes.grid(visible=False, axis="y")


def _line_names(axes: Axes, lines: Sequence[tuple[str, str]]) -> None:
    """Optimizers at the ticks, architectures left of them, in bold."""
    axes.set_yticks(range(len(lines)), [optimizer for _, optimizer in lines], fontsize=8)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    for architecture in dict.fromkeys(architecture for architecture, _ in lines):
        at = [y for y, line in enumerate(lines) if line[0] == architecture]
        axes.annotate(
            architecture,
            (0, float(np.mean(at))),
            xycoords=("axes fraction", "data"),
            xytext=(-66, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            rotation=90,
            fontsize=9,
            fontweight="bold",
        )


def _line_height(lines: Sequence[tuple[str, str]]) -> float:
    """In inches: of few optimizers more, so that the architecture's name fits beside them."""
    return max(0.19, 1.1 * len({architecture for architecture, _ in lines}) / len(lines))


def _edges(lines: Sequence[tuple[str, str]]) -> list[float]:
    """Between two architectures."""
    return [y + 0.5 for y in range(len(lines) - 1) if lines[y][0] != lines[y + 1][0]]
