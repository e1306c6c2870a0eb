"""A comparison in the terminal: for every layer of A the layer of B that is most alike."""

from collections.abc import Iterator

from rich.console import Group
from rich.text import Text

from jaxalign._core.tables import WholeTable
from jaxalign.comparison import Compared, Comparison, not_above_chance
from jaxalign.report.comparison.headline import matches, shown, shown_p
from jaxalign.style.names import in_terminal


def comparison_table(compared: Compared) -> Group:
    """What `jaxalign compare` ends with."""
    comparison = compared.comparison
    table = WholeTable(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("layer of A", "most alike of B"):
        table.add_column(heading, no_wrap=True)
    for heading in ("value", "chance", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    if comparison.alignments is not None:
        for heading in ("area A", "area B"):
            table.add_column(heading, justify="right", no_wrap=True)
    for match in matches(comparison):
        cells: list[str | Text] = [
            in_terminal(match.first),
            in_terminal(match.second or "–"),
            Text(shown(match.value), style="bold"),
            Text(shown(match.chance), style="dim"),
            shown_p(match.p_value, comparison.permutations),
        ]
        if comparison.alignments is not None:
            of_first, of_second = comparison.alignments
            cells.append(f"{of_first[match.first].area:.2f}")
            cells.append("–" if match.second is None else f"{of_second[match.second].area:.2f}")
        table.add_row(*cells)
    title = in_terminal(compared.config["title"], "bold")
    subtitle = in_terminal(compared.config["subtitle"], "dim")
    sides = [
        in_terminal(f"{side}: {name}", "dim")
        for side, name in zip("AB", compared.config["names"], strict=True)
    ]
    lines = map(in_terminal, sentences(comparison))
    return Group(title, subtitle, *sides, "", table, "", *lines)


def sentences(comparison: Comparison) -> Iterator[str]:
    """What a reader should know of a comparison, in a sentence each."""
    marked = not_above_chance(comparison)
    if marked is not None:
        above = int((~marked).sum())
        yield f"{above:,} of {marked.size:,} pairs are more alike than chance."
    for each in comparison.differences:
        side = "more" if each.value > 0 else "less"
        is_open = each.low <= 0 <= each.high
        sure = ", which leaves open which is more" if is_open else ""
        yield (
            f"{each.second} of B is {side} aligned with the targets than {each.first} of A: "
            f"∫A dτ/‖y‖² differs by {shown(each.value)} (95 % interval {shown(each.low)} to "
            f"{shown(each.high)}{sure})."
        )
