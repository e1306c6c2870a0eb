"""The results of a race: medians and ratios within rounds, as JSON, a table, a picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from rich.table import Table
from rich.text import Text

from jaxalign.benchmark.problem import Shape
from jaxalign.benchmark.race import Times
from jaxalign.benchmark.solvers import COPY, GEMM, JAX, NUMPY, OURS, PRODUCTS
from jaxalign.style.figures import INK, MUTED, STYLE
from jaxalign.style.html import percent

ONE_CORE = "1 core"


def summarize(shape: Shape, times: Mapping[str, Times]) -> dict[str, Any]:
    """The numbers of one shape; ``speedup`` is over ``reference``, each solver at its fastest lane.

    Seconds are medians over rounds; speed-ups are medians of the ratios within rounds. GFLOP/s
    count 2nd² per matrix, as if ΦᵀΦ were all of the work. ``roofline`` is the share of the time
    that this machine cannot save: nd² operations, the half of ΦᵀΦ that tells the other half, at
    the rate of the GEMM, or Φ read once at the rate of a copy, whichever takes longer.
    """
    complete = {name: result for name, result in times.items() if result.seconds}
    reference = NUMPY if NUMPY in complete else JAX
    race = _Race(shape, complete, reference)
    rows: dict[str, Any] = {}
    for name, result in times.items():
        if name in complete:
            rows[name] = race.row(name)
        else:
            rows[name] = {"failure": result.failure}
    return {"shape": str(shape), "reference": reference, "solvers": rows}


class _Race:
    """The results of the solvers that ran, to compare them with each other."""

    def __init__(self, shape: Shape, times: Mapping[str, Times], reference: str):
        self.shape = shape
        self.times = times
        self.reference = reference
        self.products = [name for name in times if _kind(name) == GEMM]
        self.medians = {
            name: {lane: float(np.median(rounds)) for lane, rounds in result.seconds.items()}
            for name, result in times.items()
        }
        self.best = {
            name: min(lanes, key=lanes.__getitem__) for name, lanes in self.medians.items()
        }

    def speedup(self, name: str, others: Sequence[str], lane: str | None) -> float | None:
        """Median ratio, within rounds, of the fastest of ``others`` to ``name``.

        In one lane, or with ``lane=None`` each in its fastest. None if it was not measured.
        """
        own = self._rounds(name, lane)
        rounds = [self._rounds(other, lane) for other in others if other in self.times]
        measured = [seconds for seconds in rounds if seconds]
        if own is None or not measured:
            return None
        ratios = np.min(measured, axis=0) / np.asarray(own)
        return round(float(np.median(ratios)), 3)

    def row(self, name: str) -> dict[str, Any]:
        """The numbers of one solver."""
        seconds = self.medians[name]
        best = self.best[name]
        shape = self.shape
        row: dict[str, Any] = {
            "seconds": seconds,
            "rounds": len(self.times[name].seconds[best]),
            "best": best,
            "matrices_per_second": shape.count / seconds[best],
            "gflops": 2e-9 * shape.count * shape.n * shape.d**2 / seconds[best],
            **self._ratios(name, None),
        }
        if ONE_CORE in seconds and len(seconds) > 1:
            row["one_core"] = self._ratios(name, ONE_CORE)
        if _kind(name) not in PRODUCTS:
            row["roofline"] = self._roofline(name)
        errors = self.times[name].errors
        if errors is not None:
            row["errors"] = asdict(errors)
        return row

    def _ratios(self, name: str, lane: str | None) -> dict[str, float | None]:
        over_product = self.speedup(name, self.products, lane)
        if over_product is not None:
            over_product = round(1 / over_product, 3)
        return {
            "speedup": self.speedup(name, [self.reference], lane),
            "time_over_gemm": over_product,
        }

    def _roofline(self, name: str) -> float | None:
        over = [self.speedup(name, others, None) for others in (self.products, [COPY])]
        known = [ratio for ratio in over if ratio is not None]
        # Half of a GEMM's operations, half of a copy's bytes.
        return round(max(known) / 2, 3) if known else None

    def _rounds(self, name: str, lane: str | None) -> list[float] | None:
        return self.times[name].seconds.get(lane or self.best[name])


def _kind(name: str) -> str:
    """The solver without its variant, as in "jaxalign, refined"."""
    return name.split(",")[0]


def table(result: Mapping[str, Any]) -> Table:
    """One shape in at most 80 columns: one row per solver, fastest first, products last."""
    rows = {name: row for name, row in result["solvers"].items() if "failure" not in row}
    columns = _columns(
        with_cores=any("one_core" in row for row in rows.values()),
        # For a single matrix, matrices per second would only repeat the milliseconds.
        batched=result["shape"].count("×") == 2,
    )
    made = Table(
        header_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
    )
    made.title = Text(result["shape"], style="bold").append(
        f" speed over {result['reference']}, time over GEMM, roofline, error of σ_min, A(τ), area",
        style="not bold dim",
    )
    made.add_column(style="bold", no_wrap=True)
    for heading in columns:
        made.add_column(heading, justify="right", no_wrap=True)

    def order(name: str) -> tuple[bool, float]:
        return _kind(name) in PRODUCTS, -rows[name]["matrices_per_second"]

    for name in sorted(rows, key=order):
        cells = [cell(rows[name]) for cell in columns.values()]
        made.add_row(name, *cells, style="dim" if _kind(name) in PRODUCTS else "")
    made.caption = "\n".join(
        f"{name}: {row['failure']}" for name, row in result["solvers"].items() if "failure" in row
    )
    return made


def _columns(*, with_cores: bool, batched: bool) -> dict[str, Callable[[dict], str]]:
    """Heading → text of a row's cell."""
    columns: dict[str, Callable[[dict], str]] = {
        "ms": lambda row: _rounded(1e3 * min(row["seconds"].values()))
    }
    # One measure of throughput is what 80 columns hold.
    if batched:
        columns["each/s"] = lambda row: _rounded(row["matrices_per_second"])
    else:
        columns["GFLOP/s"] = lambda row: _rounded(row["gflops"])
    columns["speed"] = lambda row: _number(row["speedup"])
    if with_cores:
        columns["1 core"] = lambda row: _number(row.get("one_core", {}).get("speedup"))
    columns["/GEMM"] = lambda row: _number(row["time_over_gemm"])
    columns["roof"] = lambda row: _share(row.get("roofline"))
    for heading, kind in (("σ_min", "sigma_min"), ("curve", "curve"), ("area", "area")):
        columns[heading] = partial(_error, kind=kind)
    return columns


def _error(row: dict, kind: str) -> str:
    return _number(row.get("errors", {}).get(kind), ".0e")


def _share(share: float | None) -> str:
    return "–" if share is None else percent(share)


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _number(value: float | None, form: str = ".2f") -> str:
    return "–" if value is None else f"{value:{form}}"


def picture(results: Sequence[Mapping[str, Any]], device: str) -> Figure:
    """One panel per shape, one mark per solver: speed upward, error to the right."""
    every_name = dict.fromkeys(name for result in results for name in result["solvers"])
    names = [name for name in every_name if _kind(name) not in PRODUCTS]
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
            _draw(axes, result, marks)
        _scale(panels[0])
        handles = [Line2D([], [], **mark) for mark in marks.values()]
        figure.legend(handles, names, loc="outside right upper", fontsize=9)
        figure.supylabel(f"speed over {results[0]['reference']}", fontsize=10, color=INK)
        figure.supxlabel("largest error of A(τ)/‖y‖², at condition 10⁶", fontsize=10, color=INK)
        title = f"Faster is up, more accurate is left ({device})"
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure


def _draw(axes: Axes, result: Mapping[str, Any], marks: Mapping[str, dict[str, Any]]) -> None:
    axes.axhline(1, color=MUTED, linewidth=1, linestyle=":")
    for name, row in result["solvers"].items():
        if name in marks and "failure" not in row:
            axes.plot(row["errors"]["curve"], row["speedup"], **marks[name])
    axes.set_title(result["shape"], fontsize=11)


def _scale(axes: Axes) -> None:
    """Logarithmic axes, which all panels share."""
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_locator(LogLocator(1000))
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}×"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _marks(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Our routes are cold circles, the default a star; other solvers are warm squares."""
    ours = [name for name in names if name.startswith(OURS)]
    theirs = [name for name in names if name not in ours]
    cold = matplotlib.colormaps["viridis"](np.linspace(0.1, 0.75, len(ours)))
    warm = matplotlib.colormaps["YlOrRd"](np.linspace(0.9, 0.4, len(theirs)))
    colours = dict(zip(ours + theirs, [*cold, *warm], strict=True))
    shapes = dict.fromkeys(ours, ("o", 7)) | dict.fromkeys(theirs, ("s", 6)) | {OURS: ("*", 12)}
    marks = {}
    for name in names:
        marker, size = shapes[name]
        marks[name] = {
            "color": colours[name],
            "marker": marker,
            "markersize": size,
            "linestyle": "",
        }
    return marks
