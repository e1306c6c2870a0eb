"""Studies in the terminal: their verdicts, one below the other."""

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from jaxalign.studies.framework.results import Finished
from jaxalign.studies.framework.study import Outcome

COLOURS: Mapping[Outcome, str] = {
    "holds": "green",
    "holds in part": "yellow",
    "does not hold": "red",
}
LISTED = 4  # failing cells; the page has all


def claims_table(results: Mapping[str, Finished]) -> Table:
    """What `jaxalign study` ends with: outcome, claim, effect with interval, and the first of the
    cells that fail.
    """
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for heading in ("study", "outcome", "claim, effect with interval, cells in which it fails"):
        table.add_column(heading, no_wrap=not heading.startswith("claim"))
    for name, found in results.items():
        verdict = found.verdict
        told = Text(f"{found.claim}\n")
        told.append(verdict.estimate(), style="bold").append(
            f"  {verdict.of}, n = {verdict.effect.n}\n"
        )
        told.append(verdict.extent() + _listed(verdict.failing), style="dim")
        table.add_row(name, Text(verdict.outcome, style=COLOURS[verdict.outcome]), told)
    return table


def _listed(failing: Sequence[str]) -> str:
    if not failing:
        return ""
    more = len(failing) - LISTED
    return ": " + "; ".join(failing[:LISTED]) + (f"; and {more} more" if more > 0 else "")
