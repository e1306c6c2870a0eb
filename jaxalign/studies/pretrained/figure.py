"""Of every network: its layers beside what they are compared with, and both on each task."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxalign.studies.framework.study import Row, column, distinct, where
from jaxalign.style.figures import INK, MUTED, STYLE

COLOURS = {"published": "#1b6ca8", "untrained": "#8a8f98"}
REFERENCES = ("#b58900", "#c8553d")  # raw, handcrafted
MARKS = {"published": "o", "untrained": "s"}
LEGEND = (
    "below: the published network's last layer, and of every untrained one the highest; "
    "intervals are over samples, 95 % of permuted labels lie left of the dotted line"
)
AREA = "area  ∫A dτ / (‖y‖²√n)"


def figure(config: Any, rows: Sequence[Row]) -> Figure:
    """A column a network: above, layers on every task, thin, and their mean; below, what is
    compared, on every task.
    """
    networks = distinct(rows, "network")
    tasks = [len(set(column(where(rows, {"network": name}), "task"))) for name in networks]
    with matplotlib.rc_context(STYLE):
        heights = (4.2, 0.75 * max(tasks) + 0.6)
        drawn = Figure(figsize=(5.2 * len(networks), sum(heights) + 1), layout="constrained")
        panels = drawn.subplots(2, len(networks), squeeze=False, height_ratios=heights)
        compared = [row for row in rows if row["decides"] or row["representation"] == "untrained"]
        highest = 1.03 * max(column(compared, "high"))
        for (above, below), name in zip(panels.T, networks, strict=True):
            of_network = where(rows, {"network": name})
            _by_layer(above, of_network, name, highest)
            _by_task(below, of_network)
            below.set_xlim(0, highest)
        panels[0, 0].set_ylabel(f"{AREA}, mean over tasks")
        drawn.supxlabel(LEGEND, fontsize=9.5, color=MUTED)
    return drawn


def _by_layer(axes: Axes, rows: Sequence[Row], name: str, top: float) -> None:
    depths = sorted({depth for depth in column(rows, "depth") if depth > 0})
    labels: list[tuple[float, str, str]] = []
    for representation, mark in MARKS.items():
        held, colour = where(rows, {"representation": representation}), COLOURS[representation]
        by_task = np.array(
            [
                [_mean(where(held, {"task": task, "depth": d})) for d in depths]
                for task in _tasks(held)
            ]
        )
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
        published = where(of_task, {"representation": "published", "decides": True})
        shown = [(published, COLOURS["published"], "o", COLOURS["published"])]
        for reference, (colour, style) in _levels(rows).items():
            unpooled = style == "-."
            held = where(of_task, {"representation": reference})
            shown.append((held, colour, "s" if unpooled else "D", "white" if unpooled else colour))
        untrained = _highest(where(of_task, {"representation": "untrained"}))
        shown.append((untrained, COLOURS["untrained"], "s", COLOURS["untrained"]))
        for shift, dots in zip(np.linspace(-0.3, 0.3, len(shown)), shown, strict=True):
            _dots(axes, place + shift, *dots)
        axes.plot(
            [published[0]["null_95"]] * 2,
            [place - 0.4, place + 0.4],
            color=MUTED,
            linestyle=":",
            linewidth=1.4,
        )
    axes.set_yticks(range(len(tasks)), tasks)
    axes.set(ylim=(len(tasks) - 0.5, -0.5), xlabel=AREA)
    axes.tick_params(axis="y", colors=INK)


def _dots(axes: Axes, place: float, rows: Sequence[Any], colour: str, mark: str, fill: str) -> None:
    for row, shift in zip(
        rows, np.linspace(-0.05, 0.05, len(rows)) if len(rows) > 1 else [0.0], strict=True
    ):
        ends = [[row["area"] - row["low"]], [row["high"] - row["area"]]]
        style: dict[str, Any] = {
            "color": colour,
            "markerfacecolor": fill,
            "markersize": 4.5,
            "elinewidth": 1.0,
        }
        axes.errorbar(row["area"], place + shift, xerr=ends, fmt=mark, **style)


def _highest(rows: Sequence[Row]) -> list[Row]:
    """Of every seed the layer of the largest area."""
    return [
        max(where(rows, {"seed": seed}), key=lambda row: row["area"])
        for seed in sorted(set(column(rows, "seed")))
    ]


def _mean(rows: Sequence[Row]) -> float:
    return float(np.mean(column(rows, "area")))


def _tasks(rows: Sequence[Row]) -> list[str]:
    return distinct(rows, "task")


def _levels(rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """What has no layers: colour and line of the references, and of the untrained network unpooled."""
    held = where(rows, {"depth": 0, "decides": True})
    names = [name for name in distinct(held, "representation") if not name.startswith("untrained")]
    styles = {name: (colour, "--") for name, colour in zip(names, REFERENCES, strict=True)}
    others = [name for name in distinct(held, "representation") if name not in styles]
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
