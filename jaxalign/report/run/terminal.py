"""A run in the terminal: its summary as a rich table."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from jaxalign.report.run.summary import (
    diverged,
    middle_threshold,
    over_models,
    result_of,
    summarize,
    with_interval,
)
from jaxalign.runs import History
from jaxalign.statistics import Estimate


def summary(history: History, config: Mapping[str, Any], result: Mapping[str, Any]) -> Group:
    """What `jaxalign show` prints: the recipe in a line, how far the run came, and a row a layer."""
    tau = history.thresholds[middle_threshold(history)]
    several = history.models is not None
    table = Table(
        header_style="bold", box=None, pad_edge=False, padding=(0, 1 if several else 2, 0, 0)
    )
    table.add_column("layer")
    for heading in (
        f"A({tau:g})/‖y‖² untrained",
        "",
        "trained",
        "by chance",
        "area/‖y‖² untrained",
        "",
        "trained",
    ):
        with_intervals = several and heading == "trained"
        table.add_column(
            heading, justify="left" if with_intervals else "right", no_wrap=with_intervals
        )
    for row in summarize(history):
        shares, areas = (
            _ends(row.alignment, "{:.3f}", "{:.2f}"),
            _ends(row.area, "{:.2f}", "{:.1f}"),
        )
        table.add_row(Text(row.layer), *shares, Text(f"{row.chance:.3f}", style="dim"), *areas)
    title, subtitle = Text(config["title"], style="bold"), Text(config["subtitle"], style="dim")
    return Group(title, subtitle, Text(_state(history, config, result)), "", table)


def _ends(ends: tuple[Estimate, Estimate], value: str, end: str) -> tuple[Text, str, Text]:
    """Untrained → trained, the latter with its interval if it has one."""
    before, after = ends
    trained = Text(value.format(after.value), style="bold")
    if after.n > 1:
        trained.append(
            f" [{end.format(after.low)}, {end.format(after.high)}]", style="not bold dim"
        )
    return Text(value.format(before.value)), "→", trained


def _state(history: History, config: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    status = result.get("status", "running, or killed")
    loss = over_models(history).value.loss[-1]
    parts = [f"step {history.step[-1]:,} of {config['steps']:,} ({status})", f"loss {loss:.3g}"]
    if "test_accuracy" in result:
        train, test = (
            with_interval(result_of(result, f"{part}_accuracy"), "{:.1%}".format)
            for part in ("train", "test")
        )
        parts.append(f"accuracy {train} on training data, {test} on test data")
    if "steps_per_second" in result:
        parts.append(f"{result['steps_per_second']:.0f} steps/s")
    if history.models is not None:
        parts.append(f"medians of {history.models} models [95 % interval]")
        parts += (
            [f"{len(lost)} of them diverged and are left out"]
            if (lost := diverged(history))
            else []
        )
    return " · ".join(parts)
