"""What a race says: medians, ratios within rounds, as JSON, as a table, as a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator
from rich.table import Table

from jaxalign.benchmark.problem import Shape
from jaxalign.benchmark.race import Times
from jaxalign.benchmark.solvers import GEMM, JAX, NUMPY, OURS, PRODUCTS
from jaxalign.report.figures import INK, MUTED, STYLE

ONE_CORE = "1 core"


def summarize(shape: Shape, times: Mapping[str, Times]) -> dict[str, Any]:
    """The numbers of one shape; ``speedup`` is over ``reference``, each solver where it is fastest.

    Seconds are medians over rounds; speed-ups are medians of the ratios within rounds. GFLOP/s count 2nd² a matrix, as if
    ΦᵀΦ were all there is to compute.
    """
    ran = {name: t for name, t in times.items() if t.seconds}
    reference = NUMPY if NUMPY in ran else JAX
    medians = {name: {lane: float(np.median(held)) for lane, held in t.seconds.items()} for name, t in ran.items()}
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
        if ONE_CORE in seconds:
            gemm = faster(name, gemms, ONE_CORE)
            figures["one_core"] = {
                "speedup": faster(name, [reference], ONE_CORE),
                "time_over_gemm": gemm and round(1 / gemm, 3),
            }
        return figures | ({} if found.errors is None else {"errors": asdict(found.errors)})

    return {"shape": str(shape), "reference": reference, "solvers": {name: row(name, found) for name, found in times.items()}}


def table(result: Mapping[str, Any]) -> Table:
    """One shape, a row a solver, fastest first; products last."""
    rows = {name: row for name, row in result["solvers"].items() if "failure" not in row}
    with_cores = any("one_core" in row for row in rows.values())
    made = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    made.title = f"[bold]{result['shape']}[/]"
    made.add_column(style="bold")
    headings = [
        "ms",
        "matrices/s",
        "GFLOP/s",
        f"× {result['reference']}",
        "time/GEMM",
        "σ_min error",
        "curve error",
        "area error",
    ]
    if with_cores:
        headings[4:4] = ["× on 1 core"]
    for heading in headings:
        made.add_column(heading, justify="right")
    for name in sorted(rows, key=lambda name: (name.split(",")[0] in PRODUCTS, -rows[name]["matrices_per_second"])):
        row = rows[name]
        cells = [f"{1e3 * min(row['seconds'].values()):.3g}", f"{row['matrices_per_second']:.3g}", f"{row['gflops']:.3g}"]
        cells.append(_number(row["speedup"]))
        if with_cores:
            cells.append(_number(row.get("one_core", {}).get("speedup")))
        wrong = row.get("errors", {})
        cells += [_number(row["time_over_gemm"]), *(_number(wrong.get(kind), ".0e") for kind in ("sigma_min", "curve", "area"))]
        made.add_row(name, *cells, style="dim" if name.split(",")[0] in PRODUCTS else "")
    for name, row in result["solvers"].items():
        if "failure" in row:
            made.add_row(name, f"[dim]{row['failure']}[/]")
    return made


def _number(value: float | None, form: str = ".2f") -> str:
    return "–" if value is None else f"{value:{form}}"


def picture(results: Sequence[Mapping[str, Any]], device: str) -> Figure:
    """Speed-up by shape beside the error of the curve, a line a solver."""
    names = [name for name in dict.fromkeys(n for r in results for n in r["solvers"]) if name.split(",")[0] not in PRODUCTS]
    ours = [name for name in names if name.startswith(OURS)]
    blues = matplotlib.colormaps["viridis"](np.linspace(0.15, 0.75, len(ours)))
    reds = matplotlib.colormaps["YlOrRd"](np.linspace(0.85, 0.4, len(names) - len(ours)))
    colours = dict(zip(ours, blues, strict=True)) | dict(zip((n for n in names if n not in ours), reds, strict=True))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 4.6), layout="constrained")
        speed, error = figure.subplots(1, 2)
        for name in names:
            rows = [r["solvers"].get(name, {}) for r in results]
            line = {"color": colours[name], "marker": "o" if name in ours else "s", "markersize": 5, "label": name}
            line |= {"linewidth": 2.2 if name == OURS else 1.3}
            speed.plot([row.get("speedup") or np.nan for row in rows], **line)
            error.plot([row.get("errors", {}).get("curve", np.nan) for row in rows], **line)
        for axes in (speed, error):
            axes.set_yscale("log")
            axes.set_xticks(range(len(results)), [r["shape"] for r in results], rotation=25, ha="right", color=INK)
        speed.axhline(1, color=MUTED, linewidth=1, linestyle=":")
        speed.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
        speed.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}×"))
        speed.set(title=f"Speed over {results[0]['reference']}, {device}")
        error.set(title="Largest error of A(τ)/‖y‖², condition 10⁶")
        handles, labels = speed.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize=9)
    return figure
