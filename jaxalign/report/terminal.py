"""A run in the terminal: its summary as a rich table."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from jaxalign.report.summary import middle_threshold, summarize
from jaxalign.training.history import History


def summary(history: History, config: Mapping[str, Any], result: Mapping[str, Any]) -> Group:
    """What `jaxalign show` prints: the recipe in a line, how far the run came, and a row a layer."""
    tau = history.thresholds[middle_threshold(history)]
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("layer")
    for heading in (f"A({tau:g})/‖y‖² untrained", "", "trained", "by chance", "area/‖y‖² untrained", "", "trained"):
        table.add_column(heading, justify="right")
    for row in summarize(history):
        table.add_row(
            row.layer,
            *(f"{row.alignment[0]:.3f}", "→", f"[bold]{row.alignment[1]:.3f}[/]", f"[dim]{row.chance:.3f}[/]"),
            *(f"{row.area[0]:.2f}", "→", f"[bold]{row.area[1]:.2f}[/]"),
        )
    title, subtitle = Text(config["title"], style="bold"), Text(config["subtitle"], style="dim")
    return Group(title, subtitle, Text(_state(history, config, result)), "", table)


def _state(history: History, config: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    status = result.get("status", "running, or killed")
    parts = [f"step {history.step[-1]:,} of {config['steps']:,} ({status})", f"loss {history.loss[-1]:.3g}"]
    if "test_accuracy" in result:
        parts.append(f"accuracy {result['train_accuracy']:.1%} on training data, {result['test_accuracy']:.1%} on test data")
    if "steps_per_second" in result:
        parts.append(f"{result['steps_per_second']:.0f} steps/s")
    return " · ".join(parts)
