"""Of every network: its layers beside what they are compared with, and both on each task."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxalign.report.figures import INK, MUTED, STYLE
from jaxalign.studies.study import Row, column, where

COLOURS = {"published": "#1b6ca8", "untrained": "#8a8f98"}
REFERENCES = ("#b58900", "#c8553d")  # raw, handcrafted
MARKS = {"published": "o", "untrained": "s"}
LEGEND = "published: last layer; untrained: highest layer of each seed\ninterval over samples; dotted: 95 % of permuted labels"
AREA = "area  ∫A dτ / (‖y‖²√n)"


def figure(config: Any, rows: Sequence[Row]) -> Figure:
    """A column a network: above, layers on every task, thin, and their mean; below, what is compared, on every task."""
    networks = list(dict.fromkeys(column(rows, "network")))
    tasks = [len(set(column(where(rows, {"network": name}), "task"))) for name in networks]
    with matplotlib.rc_context(STYLE):
        drawn = Figure(figsize=(4.4 * len(networks) + 0.6, 4.2 + 0.55 * max(tasks) + 1), layout="constrained")
        panels = drawn.subplots(2, len(networks), squeeze=False, height_ratios=(4.2, 0.55 * max(tasks) + 1))
        compared = [row for row in rows if row["decides"] or row["representation"] == "untrained"]
        highest = 1.03 * max(column(compared, "high"))
        for (above, below), name in zip(panels.T, networks, strict=True):
            of_network = where(rows, {"network": name})
            _by_layer(above, of_network, name, highest)
            _by_task(below, of_network)
            below.set_xlim(0, highest)
        panels[0, 0].set_ylabel(f"{AREA}, mean over tasks")
    return drawn


def _by_layer(axes: Axes, rows: Sequence[Row], name: str, top: float) -> None:
    depths = sorted({depth for depth in column(rows, "depth") if depth > 0})
    labels: list[tuple[float, str, str]] = []
    for representation, mark in MARKS.items():
        held, colour = where(rows, {"representation": representation}), COLOURS[representation]
        by_task = np.array([[_mean(where(held, {"task": task, "depth": d})) for d in depths] for task in _tasks(held)])
        axes.plot(depths, by_task.T, color=colour, linewidth=0.7, alpha=0.4)
        middle = by_task.mean(axis=0)
        axes.plot(depths, middle, color=colour, marker=mark, markersize=3.5)
        labels.append((middle[-1], representation, colour))
    for reference, (colour, style) in _levels(rows).items():
        level = _mean(where(rows, {"representation": reference}))
        axes.axhline(level, color=colour, linestyle=style, linewidth=1.3)
        labels.append((level, reference, colour))
    chance = np.mean(column(where(rows, {"representation": "published", "decides": True}), "null"))
    axes.axhline(chance, color=MUTED, linestyle=":", linewidth=1.3)
    _beside(axes, [*labels, (chance, "permuted labels", MUTED)], top)
    axes.set(title=name, xlabel="layer, from the first to the pooled features", ylim=(0, top))
    axes.set_xlim(depths[0] - 0.3, depths[-1])
    axes.set_xticks([depths[0], depths[len(depths) // 2], depths[-1]])


def _by_task(axes: Axes, rows: Sequence[Row]) -> None:
    tasks = _tasks(rows)
    for place, task in enumerate(tasks):
        of_task = where(rows, {"task": task})
        for reference, (colour, style) in _levels(rows).items():
            fill = "white" if style == "-." else colour
            _dot(axes, place, where(of_task, {"representation": reference}), colour, "s" if style == "-." else "D", fill)
        shown = {"published": where(of_task, {"representation": "published", "decides": True})}
        shown["untrained"] = _highest(where(of_task, {"representation": "untrained"}))
        for representation, held in shown.items():
            _dot(axes, place, held, COLOURS[representation], MARKS[representation], COLOURS[representation])
        chance = where(of_task, {"representation": "published", "decides": True})[0]["null_95"]
        axes.plot([chance] * 2, [place - 0.3, place + 0.3], color=MUTED, linestyle=":", linewidth=1.4)
    axes.set_yticks(range(len(tasks)), tasks, color=INK)
    axes.set(
        ylim=(len(tasks) - 0.4, -0.6),
        xlabel=f"{AREA}, last layer\n(interval over samples; dotted: 95 % of permuted labels are below)",
    )
    axes.tick_params(axis="y", colors=INK)


def _dot(axes: Axes, place: float, rows: Sequence[Row], colour: str, mark: str, fill: str) -> None:
    shifts = np.linspace(-0.12, 0.12, len(rows)) if len(rows) > 1 else [0.0]
    for row, shift in zip(rows, shifts, strict=True):
        low, high = (abs(float(row[end]) - float(row["area"])) for end in ("low", "high"))
        style: dict[str, Any] = {"color": colour, "markerfacecolor": fill, "markersize": 5, "elinewidth": 1.1}
        axes.errorbar(row["area"], place + shift, xerr=[[low], [high]], fmt=mark, **style)


def _highest(rows: Sequence[Row]) -> list[Row]:
    """Of every seed the layer of the largest area."""
    return [max(where(rows, {"seed": seed}), key=lambda row: row["area"]) for seed in sorted(set(column(rows, "seed")))]


def _mean(rows: Sequence[Row]) -> float:
    return float(np.mean(column(rows, "area")))


def _tasks(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(column(rows, "task")))


def _levels(rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """What has no layers: colour and line of the references, and of the untrained network unpooled."""
    held = where(rows, {"depth": 0, "decides": True})
    names = [name for name in dict.fromkeys(column(held, "representation")) if not name.startswith("untrained")]
    styles = {name: (colour, "--") for name, colour in zip(names, REFERENCES, strict=True)}
    others = [name for name in dict.fromkeys(column(held, "representation")) if name not in styles]
    return {**styles, **{name: (COLOURS["untrained"], "-.") for name in others}}


def _beside(axes: Axes, labels: Sequence[tuple[float, str, str]], top: float) -> None:
    """Names at the right end of lines, in their order, apart from one another."""
    least, place = 0.052 * top, -np.inf
    for level, name, colour in sorted(labels):
        place = max(level, place + least)
        axes.annotate(
            name,
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=9.5,
            annotation_clip=False,
        )
