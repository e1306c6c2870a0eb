"""Studies in the terminal: their verdicts, one below the other."""

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from jaxalign.studies.framework.results import Finished
from jaxalign.studies.framework.verdict import Judged, Outcome

COLOURS: Mapping[Outcome, str] = {
    "supported": "green",
    "undecided": "yellow",
    "contradicted": "red",
}
LISTED = 4
"""So many contradicted cells are named; the page has all."""


def claims_table(results: Mapping[str, Finished]) -> Table:
    """What `jaxalign study` ends with: verdict, claim, effect with interval, how many cells came
    out how, and the first of those that are contradicted.
    """
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for heading in ("study", "verdict", "claim, effect with interval, cells"):
        table.add_column(heading, no_wrap=not heading.startswith("claim"))
    for name, finished in results.items():
        verdict = finished.verdict
        text = Text(f"{finished.claim}\n")
        text.append(verdict.estimate(), style="bold")
        text.append(f"\n{verdict.of}\n")
        text.append(verdict.extent() + _listed(verdict.named("contradicted")), style="dim")
        table.add_row(name, Text(verdict.outcome, style=COLOURS[verdict.outcome]), text)
    return table


def _listed(contradicted: Sequence[Judged]) -> str:
    if not contradicted:
        return ""
    listed = f": {'; '.join(cell.name for cell in contradicted[:LISTED])}"
    if len(contradicted) > LISTED:
        listed += f"; and {len(contradicted) - LISTED} more"
    return listed
