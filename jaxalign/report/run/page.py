"""The run's page: one self-contained index.html that tells what happened to somebody who has not
read the paper.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from jaxalign.report.run import sentences
from jaxalign.report.run.axes import layer_colours
from jaxalign.report.run.figures import all_figures
from jaxalign.report.run.health import warnings
from jaxalign.report.run.quantities import (
    Kind,
    Quantity,
    alignment_quantities,
    not_drawn,
    other_quantities,
    plain_number,
    with_interval,
)
from jaxalign.report.run.seen import seen
from jaxalign.report.run.summary import RunSummary, evenly_in_log
from jaxalign.runs import is_input
from jaxalign.style.html import number, percent, render
from jaxalign.style.layout import NARROW
from jaxalign.style.svg import for_both, picture

FRAMES = 120
"""So many steps at most can be played."""

BLANK = "–"

SHOWN: dict[Kind, Callable[[float], str]] = {
    "share": percent,
    "area": partial(number, digits=2),
    "number": plain_number,
}
"""How the numbers of the tables are written."""


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
    config: Mapping[str, Any],
    result: Mapping[str, Any],
) -> str:
    """The HTML of a run.

    Args:
      run: what it logged.
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
        warnings=list(warnings(run, result)),
        lede=sentences.lede(run),
        tiles=list(sentences.tiles(run, samples**0.5, result)),
        samples=f"{samples:,}",
        sigma_limit=f"{samples**0.5:.1f}",
        **_about_headline(run),
        several=run.loss.n > 1,
        has_chance=any(quantity.has_chance for table in tables for quantity in table.quantities),
        has_input=any(is_input(name) and run.shares[name] for name in run.shares),
        figures=_pictures(run),
        frames=_frames(run),
        tables=tables,
        not_drawn=not_drawn(run),
        notes=[sentences.about_seeds(run.loss.n), *config["monitor"]["notes"]],
        details=list(_details(config, run, result)),
        command=config["command"],
    )


def _pictures(run: RunSummary) -> dict[str, Markup]:
    narrow = all_figures(run, NARROW)
    return {
        name: picture(wide, narrow[name], seen(run, name), name)
        for name, wide in all_figures(run).items()
    }


def _about_headline(run: RunSummary) -> dict[str, str]:
    """What the page says of the most aligned layer; all "" where there is none."""
    headline = run.headline
    if headline is None:
        return dict.fromkeys(("headline", "monitor", "threshold", "verdict"), "")
    tau = run.threshold(headline)
    return {
        "headline": headline,
        "monitor": run.monitor_of(headline),
        "threshold": "" if tau is None else f"{tau:g}",
        "verdict": sentences.verdict(run),
    }


def _tables(run: RunSummary) -> Iterator[Table]:
    """For each monitor the alignment of its layers, and what else was measured of them."""
    for monitor, names in run.monitors.items():
        for quantities, heading in (
            (alignment_quantities(run, names), ""),
            (other_quantities(run, names), "Other measures"),
        ):
            having = [name for name in names if any(name in each.layers for each in quantities)]
            rows = [(name, list(_cells(name, quantities))) for name in having]
            if rows:
                yield Table(": ".join(filter(None, [monitor, heading])), quantities, rows)


def _cells(layer: str, quantities: list[Quantity]) -> Iterator[str]:
    """The row of a layer: blanks for what it does not have."""
    for quantity in quantities:
        ends = quantity.layers.get(layer)
        if ends is None:
            yield from [BLANK] * quantity.columns
            continue
        shown = SHOWN[quantity.kind]
        yield with_interval(ends.untrained, shown)
        yield with_interval(ends.trained, shown)
        if quantity.has_chance:
            yield BLANK if ends.chance is None else shown(ends.chance)


def _details(
    config: Mapping[str, Any], run: RunSummary, result: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    measured = run.history.measured
    steps = run.history.step
    environment = config["environment"]
    data = config["data"]
    yield from config["recipe"].items()
    yield "steps done", f"{steps[-1]:,} of {config['steps']:,}"
    if "steps_per_second" in result:
        speed = f"{result['steps_per_second']:.0f} steps per second"
        yield "speed", f"{speed}, layers measured at {len(measured):,} of {len(steps):,}"
    yield "device", environment["device"]
    versions = environment["versions"].items()
    yield "versions", ", ".join(f"{name} {version}" for name, version in versions)
    yield "data", f"{data['source']}; sha256 {data['sha256'][:16]}…"
    yield "started", environment["started"]


def _frames(run: RunSummary) -> dict[str, Any] | None:
    """The curves of the first monitor's layers, for the player; None where there is no curve."""
    names = [name for name in run.headline_layers if "curve" in run.shares[name]]
    if not names:
        return None
    steps = run.steps_of(names[0], "curve")
    rows = evenly_in_log(len(steps), FRAMES)
    colours = layer_colours(run)
    layers = [
        {
            "name": name,
            "colour": for_both(colours[name]),
            "dashed": is_input(name),
            "grid": [_rounded(tau) for tau in run.axis(name, "curve")],
            "curves": [list(map(_rounded, run.shares[name]["curve"].value[row])) for row in rows],
        }
        for name in names
    ]
    return {"steps": steps[rows].tolist(), "layers": layers}


def _rounded(value: float) -> float | None:
    # JSON has no NaN.
    if not np.isfinite(value):
        return None
    return round(float(value), 3)
