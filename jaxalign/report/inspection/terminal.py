"""An inspection in the terminal: a row a layer."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from jaxalign.inspection import Inspected, numbers


def inspected_table(found: Inspected) -> Group:
    """What `jaxalign inspect` ends with: what was measured in a line, a row a layer, and what was
    left out.
    """
    inspection, tau = found.inspection, found.thresholds
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("layer", no_wrap=True)
    table.add_column("shape", no_wrap=True)
    for heading in ("d", "area", *(f"A({t:g})" for t in tau), "chance", "rank"):
        table.add_column(heading, justify="right", no_wrap=True)
    middle = len(tau) // 2
    for name, row in numbers(inspection, tau).items():
        layer = inspection.layers[name]
        shares = [f"{share:.3f}" for share in row.alignment]
        shares[middle] = f"[bold]{shares[middle]}[/]"
        table.add_row(
            Text(name),
            shown_shape(layer.shape),
            f"{layer.width:,}",
            f"[bold]{row.area:.2f}[/]",
            *shares,
            f"[dim]{row.chance[middle]:.3f}[/]",
            f"{row.aligned_rank:,}",
        )
    title, subtitle = (
        Text(found.config["title"], style="bold"),
        Text(found.config["subtitle"], style="dim"),
    )
    left_out = [
        Text(f"{name} is left out: {reason}", style="dim")
        for name, reason in inspection.left_out.items()
    ]
    meaning = (
        f"area ∫A dτ and A(τ): over ‖y‖²; chance: A({tau[middle]:g}) of random targets; "
        "rank: directions that hold 90% of what of the targets the layer spans"
    )
    return Group(title, subtitle, "", table, "", Text(meaning, style="dim"), *left_out)


def shown_shape(shape: tuple[int, ...]) -> str:
    """The shape of one sample: 56×56×64."""
    return "×".join(map(str, shape))
