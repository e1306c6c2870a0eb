"""An inspection in the terminal: one row per layer."""

from rich.console import Group
from rich.text import Text

from jaxalign._core.tables import WholeTable
from jaxalign.inspection import Inspected, numbers
from jaxalign.report.inspection.headline import Rows, dead_layers, last_layer, most_aligned
from jaxalign.style.names import in_terminal


def inspected_table(inspected: Inspected) -> Group:
    """What `jaxalign inspect` ends with: what was measured in a line, one row per layer, and what
    was left out.
    """
    inspection = inspected.inspection
    thresholds = inspected.thresholds
    middle = len(thresholds) // 2
    rows = numbers(inspection, thresholds)
    table = WholeTable(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("layer", no_wrap=True)
    table.add_column("shape", no_wrap=True)
    for heading in ("d", "area", *(f"A({tau:g})" for tau in thresholds), "chance", "rank"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, row in rows.items():
        layer = inspection.layers[name]
        shares = [Text(f"{share:.3f}") for share in row.alignment]
        shares[middle].stylize("bold")
        table.add_row(
            in_terminal(name),
            shown_shape(layer.shape),
            f"{layer.width:,}",
            Text(f"{row.area:.2f}", style="bold"),
            *shares,
            Text(f"{row.null_alignment[middle]:.3f}", style="dim"),
            f"{row.aligned_rank:,}",
        )
    meaning = (
        f"area ∫A dτ and A(τ): over ‖y‖²; chance: A({thresholds[middle]:g}), mean over all orders "
        "of the targets; rank: directions that hold 90% of what the layer spans of the targets"
    )
    left_out = [
        in_terminal(f"{name} is left out: {why}", "dim")
        for name, why in inspection.left_out.items()
    ]
    title = in_terminal(inspected.config["title"], "bold")
    subtitle = in_terminal(inspected.config["subtitle"], "dim")
    below = [in_terminal(_headline(rows)), Text(meaning, style="dim"), *left_out]
    dead = [in_terminal(sentence, "yellow") for sentence in dead_layers(inspection)]
    return Group(title, subtitle, *dead, "", table, "", *below)


def shown_shape(shape: tuple[int, ...]) -> str:
    """The shape of one sample: 56×56×64."""
    return "×".join(map(str, shape))


def _headline(rows: Rows) -> str:
    """Which layer is the most aligned, and where the last one stands."""
    headline = most_aligned(rows)
    last = last_layer(rows)
    if headline == last:
        return f"Most aligned by area: {headline}, the last layer."
    return (
        f"Most aligned by area: {headline} ({rows[headline].area:.2f}); "
        f"the last layer is {last} ({rows[last].area:.2f})."
    )
