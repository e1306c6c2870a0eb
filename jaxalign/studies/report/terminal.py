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
LISTED = 4
"""So many failing cells are named; the page has all."""


def claims_table(results: Mapping[str, Finished]) -> Table:
    """What `jaxalign study` ends with: outcome, claim, effect with interval, and the first of the
    cells that fail.
    """
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for heading in ("study", "outcome", "claim, effect with interval, cells in which it fails"):
        table.add_column(heading, no_wrap=not heading.startswith("claim"))
    for name, finished in results.items():
        verdict = finished.verdict
        text = Text(f"{finished.claim}\n")
        text.append(verdict.estimate(), style="bold")
        text.append(f"  {verdict.of}, n = {verdict.effect.n}\n")
        text.append(verdict.extent() + _listed(verdict.failing), style="dim")
        table.add_row(name, Text(verdict.outcome, style=COLOURS[verdict.outcome]), text)
    return table


def _listed(failing: Sequence[str]) -> str:
    if not failing:
        return ""
    listed = f": {'; '.join(failing[:LISTED])}"
    if len(failing) > LISTED:
        listed += f"; and {len(failing) - LISTED} more"
    return listed
