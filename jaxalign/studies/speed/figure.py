"""The picture of the study of speed: every representation's area and steps, and the rank
correlation, cell by cell.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxalign.studies.framework.study import Row, column, where
from jaxalign.studies.speed.table import PERMUTED, TRUE, association, cells_of, within_networks
from jaxalign.style.figures import INK, MUTED, STYLE

STATES = {
    "input": ("inputs", "s", INK),
    "untrained": ("untrained layers", "o", "#3b8fc4"),
    "trained": ("trained layers", "^", "#d1742b"),
}


def figure(config: Any, rows: Sequence[Row]) -> Figure:
    """Two panels: area against steps, a point a representation; ρ with its interval in each cell,
    beside that of the null.
    """
    with matplotlib.rc_context(STYLE):
        drawn = Figure(figsize=(11.5, 5), layout="constrained")
        points, forest = drawn.subplots(1, 2, width_ratios=(1.15, 1))
        _points(points, config, rows)
        _forest(drawn, forest, config, rows)
    return drawn


def _points(axes: Axes, config: Any, rows: Sequence[Row]) -> None:
    band = 1.6 * config.horizon

    def place(chosen):
        return [min(row["steps"], band) if row["reached"] else band for row in chosen]

    jitter = np.random.default_rng(0)
    null = where(rows, {"labels": PERMUTED})
    for chosen, name, mark, colour in (
        (null, "permuted labels", ".", MUTED),
        *((where(rows, {"labels": TRUE, "state": s}), *style) for s, style in STATES.items()),
    ):
        spread = np.where(
            np.array(column(chosen, "reached"), bool),
            1,
            np.exp(jitter.uniform(-0.2, 0.2, len(chosen))),
        )
        x, y = column(chosen, "area"), np.maximum(place(chosen), 0.7) * spread
        axes.scatter(x, y, s=18, marker=mark, color=colour, alpha=0.6, linewidths=0, label=name)
    axes.axhline(config.horizon, color=MUTED, linewidth=0.8)
    ticks = [10**e for e in range(int(np.log10(config.horizon)) + 1)]
    axes.set_yscale("log")
    axes.set_yticks([*ticks, band], [*(f"{t:,}" for t in ticks), "later"])
    axes.minorticks_off()
    axes.set(xlabel="area under the curve  ∫A dτ / (√n‖y‖²)")
    axes.set(ylabel=f"steps of gradient descent to a loss of {config.share:g}‖y‖²")
    axes.set(title="A point a representation", xlim=(0, None), ylim=(0.6, 2.2 * config.horizon))
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.88), fontsize=9, markerscale=1.4)


def _forest(figure: Figure, axes: Axes, config: Any, rows: Sequence[Row]) -> None:
    true, permuted = (where(rows, {"labels": name}) for name in (TRUE, PERMUTED))
    cells = cells_of(rows)
    resamples = config.resamples
    over_all = (
        association(true, resamples=resamples),
        association(true, other=permuted, resamples=resamples),
    )
    lines = [("all", *over_all)]
    for cell in reversed(cells):
        own, null = where(true, cell), where(permuted, cell)
        name = f"{cell['architecture']}, {cell['problem']}"
        lines.append((name, within_networks(own), within_networks(own, other=null)))
    for y, (_, rho, null_rho) in enumerate(lines):
        for height, found, colour, mark in (
            (y + 0.12, rho, INK, "o"),
            (y - 0.18, null_rho, MUTED, "D"),
        ):
            if found is None:
                axes.text(
                    0, height, "not defined", va="center", ha="center", fontsize=8, color=colour
                )
                continue
            axes.plot(
                [found.low, found.high],
                [height] * 2,
                color=colour,
                linewidth=2.4 if y == 0 else 1.4,
            )
            axes.plot(
                found.value,
                height,
                mark,
                color=colour,
                markersize=5,
                markerfacecolor="white" if mark == "D" else colour,
            )
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.axhline(0.5, color=MUTED, linewidth=0.6)
    axes.plot([], [], "o-", color=INK, label="true labels", markersize=5)
    axes.plot(
        [],
        [],
        "D-",
        color=MUTED,
        label="null: area with permuted labels",
        markersize=5,
        markerfacecolor="white",
    )
    axes.set_yticks(range(len(lines)), [name for name, *_ in lines], fontsize=9)
    axes.set(xlim=(-1.05, 1.05), ylim=(-0.6, len(lines) - 0.4))
    axes.set(xlabel="Spearman's ρ of area and steps, 95 % over networks")
    axes.set(title="More aligned, fewer steps: ρ < 0")
    axes.grid(visible=False, axis="y")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower right", ncols=2, fontsize=9)
