"""The run's page: one self-contained index.html that tells what happened to somebody who has not
read the paper.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jaxalign.report.run import sentences
from jaxalign.report.run.axes import layer_colours
from jaxalign.report.run.quantities import (
    Ends,
    Kind,
    Quantity,
    alignment_quantities,
    not_drawn,
    other_quantities,
    plain_number,
    with_interval,
)
from jaxalign.report.run.summary import RunSummary
from jaxalign.runs import is_input
from jaxalign.style.html import number, percent, render, svg

FRAMES = 120


class Table(NamedTuple):
    """Numbers of the layers of one monitor.

    Attributes:
      heading: "" where nothing needs to be told apart.
      quantities: the groups of columns.
      rows: layer and cells.
    """

    heading: str
    quantities: list[Quantity]
    rows: list[tuple[str, list[str]]]


def page(
    run: RunSummary,
    figures: Mapping[str, Figure],
    config: Mapping[str, Any],
    result: Mapping[str, Any],
) -> str:
    """The HTML of a run.

    Args:
      run: what it logged.
      figures: its pictures, by name, as ``all_figures`` makes them; set into the page as SVG.
      config: its config.json: "title", "subtitle", "command", "monitor" and whatever belongs under
        "The run".
      result: its result.json; empty for a run that goes on or was killed.
    """
    samples = config["monitor"]["size"]
    tables = list(_tables(run))
    return render(
        "jaxalign.report.run",
        "page.html",
        title=config["title"],
        kicker=config["subtitle"],
        warnings=list(sentences.warnings(run, result)),
        lede=sentences.lede(run),
        tiles=list(sentences.tiles(run, samples**0.5, result)),
        samples=f"{samples:,}",
        sigma_limit=f"{samples**0.5:.1f}",
        headline=run.headline,
        monitor=run.monitor_of(run.headline) if run.headline else "",
        threshold=_threshold(run),
        several=run.loss.n > 1,
        has_chance=any(quantity.has_chance for table in tables for quantity in table.quantities),
        has_input=any(is_input(name) and run.shares[name] for name in run.shares),
        figures={name: svg(figure) for name, figure in figures.items()},
        frames=_frames(run),
        tables=tables,
        verdict=sentences.verdict(run) if run.headline else "",
        not_drawn=not_drawn(run),
        notes=[sentences.about_seeds(run.loss.n), *config["monitor"]["notes"]],
        details=list(_details(config, run, result)),
        command=config["command"],
    )


def _threshold(run: RunSummary) -> str:
    tau = run.threshold(run.headline) if run.headline else None
    return "" if tau is None else f"{tau:g}"


def _tables(run: RunSummary) -> Iterator[Table]:
    """For each monitor the alignment of its layers, and what else was measured of them."""
    for monitor, names in run.monitors.items():
        alignments = alignment_quantities(run, names)
        others = other_quantities(run, names)
        if alignments:
            yield _table(monitor, alignments, [name for name in names if run.shares[name]])
        if others:
            heading = f"{monitor}, other measures" if monitor else "Other measures"
            having = [name for name in names if any(name in other.layers for other in others)]
            yield _table(heading if alignments else monitor, others, having)


def _table(heading: str, quantities: list[Quantity], layers: list[str]) -> Table:
    return Table(heading, quantities, [(name, list(_cells(name, quantities))) for name in layers])


def _cells(layer: str, quantities: list[Quantity]) -> Iterator[str]:
    """The row of a layer: of every quantity two cells, or three where there is a null."""
    for quantity in quantities:
        ends = quantity.layers.get(layer)
        cells = ["–", "–"] if ends is None else list(_before_and_after(ends, quantity.kind))
        yield from cells
        if quantity.has_chance:
            chance = None if ends is None else ends.chance
            yield "–" if chance is None else _shown(chance, quantity.kind)


def _before_and_after(ends: Ends, kind: Kind) -> Iterator[str]:
    for end in (ends.untrained, ends.trained):
        yield with_interval(end, lambda value: _shown(value, kind))


def _shown(value: float, kind: Kind) -> str:
    if kind == "share":
        return percent(value)
    return number(value, 2) if kind == "area" else plain_number(value)


def _details(
    config: Mapping[str, Any], run: RunSummary, result: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    measured, steps = run.history.measured, run.history.step
    environment, data = config["environment"], config["data"]
    yield from config["recipe"].items()
    yield "steps done", f"{steps[-1]:,} of {config['steps']:,}"
    if "steps_per_second" in result:
        at = "each" if len(measured) == len(steps) else f"{len(measured):,} of them"
        speed = f"{result['steps_per_second']:.0f} steps per second"
        yield "speed", f"{speed}, every layer measured at {at}"
    yield "device", environment["device"]
    versions = environment["versions"].items()
    yield "versions", ", ".join(f"{name} {version}" for name, version in versions)
    yield "data", f"{data['source']}; sha256 {data['sha256'][:16]}…"
    yield "started", environment["started"]


def _frames(run: RunSummary) -> dict[str, Any] | None:
    """The curves of the first monitor's layers, for the player; None where there is no curve."""
    measured = run.history.measured
    # Steps spread evenly on a logarithmic scale: most happens early.
    last = len(measured) - 1
    rows = np.unique(np.round(np.expm1(np.linspace(0, np.log1p(last), FRAMES))).astype(int))
    colours = layer_colours(run)
    layers = [
        {
            "name": name,
            "colour": colours[name],
            "dashed": is_input(name),
            "grid": [_rounded(tau) for tau in run.axis(name, "curve")],
            "curves": [list(map(_rounded, run.shares[name]["curve"].value[row])) for row in rows],
        }
        for name in run.headline_layers
        if "curve" in run.shares[name]
    ]
    return {"steps": measured[rows].tolist(), "layers": layers} if layers else None


def _rounded(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None
