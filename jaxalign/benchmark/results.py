"""What a race says: medians, ratios within rounds, as JSON, as a table, as a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from rich.table import Table

from jaxalign.benchmark.problem import Shape
from jaxalign.benchmark.race import Times
from jaxalign.benchmark.solvers import GEMM, JAX, NUMPY, OURS, PRODUCTS
from jaxalign.style.figures import INK, MUTED, STYLE

ONE_CORE = "1 core"


def summarize(shape: Shape, times: Mapping[str, Times]) -> dict[str, Any]:
    """The numbers of one shape; ``speedup`` is over ``reference``, each solver where it is fastest.

    Seconds are medians over rounds; speed-ups are medians of the ratios within rounds. GFLOP/s
    count 2nd² a matrix, as if ΦᵀΦ were all there is to compute.
    """
    ran = {name: t for name, t in times.items() if t.seconds}
    reference = NUMPY if NUMPY in ran else JAX
    medians = {
        name: {lane: float(np.median(held)) for lane, held in t.seconds.items()}
        for name, t in ran.items()
    }
    best = {name: min(held, key=held.__getitem__) for name, held in medians.items()}
    gemms = [name for name in ran if name.split(",")[0] == GEMM]

    def faster(name: str, than: Sequence[str], lane: str | None) -> float | None:
        """Median ratio of the fastest of ``than`` to ``name``, in a lane or each in its best."""
        held = [times[other].seconds.get(lane or best[other]) for other in than if other in ran]
        own = times[name].seconds.get(lane or best[name])
        if own is None or not (others := [h for h in held if h]):
            return None
        return round(float(np.median(np.min(others, axis=0) / np.asarray(own))), 3)

    def row(name: str, found: Times) -> dict[str, Any]:
        if name not in ran:
            return {"failure": found.failure}
        seconds = medians[name]
        fastest, gemm = seconds[best[name]], faster(name, gemms, None)
        figures: dict[str, Any] = {
            "seconds": seconds,
            "rounds": len(found.seconds[best[name]]),
            "best": best[name],
            "matrices_per_second": shape.count / fastest,
            "gflops": 2e-9 * shape.count * shape.n * shape.d**2 / fastest,
            "speedup": faster(name, [reference], None),
            "time_over_gemm": gemm and round(1 / gemm, 3),
        }
        if ONE_CORE in seconds and len(seconds) > 1:
            gemm = faster(name, gemms, ONE_CORE)
            figures["one_core"] = {
                "speedup": faster(name, [reference], ONE_CORE),
                "time_over_gemm": gemm and round(1 / gemm, 3),
            }
        return figures | ({} if found.errors is None else {"errors": asdict(found.errors)})

    return {
        "shape": str(shape),
        "reference": reference,
        "solvers": {name: row(name, found) for name, found in times.items()},
    }


def table(result: Mapping[str, Any]) -> Table:
    """One shape, a row a solver, fastest first; products last. 80 columns hold it."""
    rows = {name: row for name, row in result["solvers"].items() if "failure" not in row}
    with_cores = any("one_core" in row for row in rows.values())
    batched = result["shape"].count("×") == 2  # of one matrix, matrices a second say what ms say
    made = Table(
        header_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
    )
    made.title = f"[bold]{result['shape']}[/] [dim]speed over {result['reference']}, time over GEMM, error of σ_min, A(τ), area[/]"
    made.add_column(style="bold", no_wrap=True)
    for heading in (
        "ms",
        *["each/s"] * batched,
        "GFLOP/s",
        "speed",
        *["1 core"] * with_cores,
        "/GEMM",
        "σ_min",
        "curve",
        "area",
    ):
        made.add_column(heading, justify="right", no_wrap=True)
    for name in sorted(
        rows, key=lambda name: (name.split(",")[0] in PRODUCTS, -rows[name]["matrices_per_second"])
    ):
        row = rows[name]
        wrong = row.get("errors", {})
        made.add_row(
            name,
            _rounded(1e3 * min(row["seconds"].values())),
            *[_rounded(row["matrices_per_second"])] * batched,
            _rounded(row["gflops"]),
            _number(row["speedup"]),
            *[_number(row.get("one_core", {}).get("speedup"))] * with_cores,
            _number(row["time_over_gemm"]),
            *(_number(wrong.get(kind), ".0e") for kind in ("sigma_min", "curve", "area")),
            style="dim" if name.split(",")[0] in PRODUCTS else "",
        )
    made.caption = "\n".join(
        f"{name}: {row['failure']}" for name, row in result["solvers"].items() if "failure" in row
    )
    return made


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _number(value: float | None, form: str = ".2f") -> str:
    return "–" if value is None else f"{value:{form}}"


def picture(results: Sequence[Mapping[str, Any]], device: str) -> Figure:
    """A panel a shape, a mark a solver: how fast upward, how wrong to the right."""
    names = [
        name
        for name in dict.fromkeys(n for r in results for n in r["solvers"])
        if name.split(",")[0] not in PRODUCTS
    ]
    marks = _marks(names)
    columns = min(len(results), 3 if len(results) < 7 else 4)
    rows = -(-len(results) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.4 + 2.5 * columns, 1 + 2.4 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for i, axes in enumerate(panels):
            axes.set_visible(i < len(results))
            axes.tick_params(labelbottom=i + columns >= len(results))
        for axes, result in zip(panels, results, strict=False):
            axes.axhline(1, color=MUTED, linewidth=1, linestyle=":")
            for name, found in result["solvers"].items():
                if name in marks and "failure" not in found:
                    axes.plot(found["errors"]["curve"], found["speedup"], **marks[name])
            axes.set_title(result["shape"], fontsize=11)
        panels[0].set(xscale="log", yscale="log")
        panels[0].xaxis.set_major_locator(LogLocator(1000))
        panels[0].yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
        panels[0].yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}×"))
        panels[0].yaxis.set_minor_formatter(NullFormatter())
        figure.legend(
            [Line2D([], [], **mark) for mark in marks.values()],
            names,
            loc="outside right upper",
            fontsize=9,
        )
        figure.supylabel(f"speed over {results[0]['reference']}", fontsize=10, color=INK)
        figure.supxlabel("largest error of A(τ)/‖y‖², at condition 10⁶", fontsize=10, color=INK)
        figure.suptitle(
            f"Faster is up, more accurate is left ({device})",
            x=0.01,
            ha="left",
            fontsize=12,
            fontweight="bold",
        )
    return figure


def _marks(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Cold discs for our routes, the default a star; warm squares for what one would call instead."""
    ours = [name for name in names if name.startswith(OURS)]
    theirs = [name for name in names if name not in ours]
    cold = matplotlib.colormaps["viridis"](np.linspace(0.1, 0.75, len(ours)))
    warm = matplotlib.colormaps["YlOrRd"](np.linspace(0.9, 0.4, len(theirs)))
    colour = dict(zip(ours + theirs, [*cold, *warm], strict=True))
    shape = {
        name: ("*", 12) if name == OURS else ("o", 7) if name in ours else ("s", 6)
        for name in names
    }
    return {
        n: {"color": colour[n], "marker": shape[n][0], "markersize": shape[n][1], "linestyle": ""}
        for n in names
    }
