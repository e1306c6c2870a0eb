"""A run in the terminal: its summary as rich tables."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jaxalign._core.tables import WholeTable
from jaxalign.report.run import sentences
from jaxalign.report.run.health import faults
from jaxalign.report.run.quantities import (
    Quantity,
    alignment_quantities,
    other_quantities,
    plain_number,
    with_interval,
)
from jaxalign.report.run.summary import RunSummary, of_result
from jaxalign.style.names import in_terminal

DIGITS = {"share": ("{:.3f}", "{:.2f}"), "area": ("{:.2f}", "{:.1f}")}
"""How a value is written, and the ends of its interval."""


def summary(run: RunSummary, config: Mapping[str, Any], result: Mapping[str, Any]) -> Group:
    """What `jaxalign show` prints: the recipe in a line, how far the run came, one row per layer,
    and the user's own measures below.
    """
    parts: list[RenderableType] = [
        in_terminal(str(config.get("title", "A run")), "bold"),
        in_terminal(str(config.get("subtitle", "")), "dim"),
        Text(_state(run, config, result)),
        *(in_terminal(sentence, "yellow") for sentence in faults(run)),
    ]
    for names in run.monitors.values():
        if alignments := alignment_quantities(run, names):
            parts += ["", _alignment_table(run, alignments, names)]
    if headline := _headline(run):
        parts += ["", in_terminal(headline, "dim")]
    if others := other_quantities(run, run.history.layers):
        parts += ["", _table_of_others(others)]
    return Group(*parts)


def _alignment_table(run: RunSummary, quantities: list[Quantity], names: list[str]) -> Table:
    several = run.loss.n > 1
    # Intervals take the room that would else be between the columns.
    padding = (0, 1 if several else 2, 0, 0)
    table = WholeTable(header_style="bold", box=None, pad_edge=False, padding=padding)
    table.add_column("layer", no_wrap=True)
    for quantity in quantities:
        table.add_column(f"{quantity.name} untrained", justify="right")
        table.add_column("", justify="right")
        # The interval follows the value, so values line up at the left.
        table.add_column("trained", justify="left" if several else "right", no_wrap=several)
        if _shows_chance(quantity):
            table.add_column("by chance", justify="right")
    for name in names:
        if run.shares[name]:
            cells = (cell for quantity in quantities for cell in _cells(quantity, name))
            table.add_row(in_terminal(name), *cells)
    return table


def _shows_chance(quantity: Quantity) -> bool:
    """The chance of an area is on the page: here one column is enough."""
    return quantity.kind == "share" and quantity.has_chance


def _cells(quantity: Quantity, layer: str) -> Iterator[Text]:
    """Untrained → trained, the latter with its interval if it has one, and what chance gives;
    blanks for what the layer does not have.
    """
    value, interval = DIGITS[quantity.kind]
    ends = quantity.layers.get(layer)
    if ends is None:
        yield from [Text("")] * (4 if _shows_chance(quantity) else 3)
        return
    trained = Text(value.format(ends.trained.value), style="bold")
    if ends.trained.n > 1:
        low, high = map(interval.format, (ends.trained.low, ends.trained.high))
        trained.append(f" [{low}, {high}]", style="not bold dim")
    yield from (Text(value.format(ends.untrained.value)), Text("→"), trained)
    if _shows_chance(quantity):
        chance = "" if ends.chance is None else value.format(ends.chance)
        yield Text(chance, style="dim")


def _headline(run: RunSummary) -> str:
    """Which layer is the most aligned, and where the last one stands."""
    headline = run.headline
    if headline is None or "area" not in run.shares[headline]:
        return ""
    last = run.headline_layers[-1]
    if not np.isfinite(run.shares[headline]["area"].value[-1]):
        return f"Most aligned by area until the run diverged: {headline}."
    if last == headline:
        return f"Most aligned by area: {headline}, the last layer."
    places = (
        f"{name} ({run.shares[name]['area'].value[-1]:.2f})"
        for name in (headline, last)
        if "area" in run.shares[name]
    )
    return "Most aligned by area: " + "; the last layer is ".join(places) + "."


def _table_of_others(quantities: list[Quantity]) -> Table:
    """One row per measure and layer, for there may be many measures and few columns."""
    table = WholeTable(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("measure", no_wrap=True)
    table.add_column("layer", no_wrap=True)
    table.add_column("untrained", justify="right")
    table.add_column("", justify="right")
    table.add_column("trained")
    for quantity in quantities:
        heading = quantity.name
        for layer, ends in quantity.layers.items():
            before, after = (
                with_interval(end, plain_number) for end in (ends.untrained, ends.trained)
            )
            names = in_terminal(heading), in_terminal(layer)
            table.add_row(*names, Text(before), "→", Text(after, style="bold"))
            heading = ""
    return table


def _state(run: RunSummary, config: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    history = run.history
    status = result.get("status", "running, or killed")
    planned = config.get("steps")
    steps = f" of {planned:,}" if isinstance(planned, int) else ""
    parts = [
        f"step {history.step[-1]:,}{steps} ({status})",
        f"loss {run.loss.value[-1]:.3g}",
    ]
    if accuracy := sentences.accuracy(result):
        parts.append(accuracy)
    if speed := of_result(result, "steps_per_second"):
        parts.append(f"{speed.value:.0f} steps/s")
    if history.models is not None:
        parts.append(f"medians of {history.models} models [95 % interval]")
    if run.diverged and len(run.diverged) == history.models:
        parts.append("all of them diverged")
    elif run.diverged:
        parts.append(f"{len(run.diverged)} of them diverged and are left out")
    return " · ".join(parts)
