"""Studies in the terminal: a row a claim, with its verdict."""

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from jaxalign.studies.results import Finished
from jaxalign.studies.study import Outcome, Verdict

COLOURS: Mapping[Outcome, str] = {"holds": "green", "holds in part": "yellow", "does not hold": "red"}
LISTED = 3


def claims_table(results: Mapping[str, Finished]) -> Table:
    """What `jaxalign study` ends with: claim, outcome, effect with interval, and the first of the cells that fail."""
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for heading in ("study", "claim", "outcome", "effect", "fails in"):
        table.add_column(heading, no_wrap=heading == "study")
    for name, found in results.items():
        verdict = found.verdict
        effect = Text.assemble((verdict.estimate(), "bold"), f", n = {verdict.effect.n}\n", (verdict.of, "dim"))
        outcome = Text(verdict.outcome, style=COLOURS[verdict.outcome])
        table.add_row(name, Text(found.claim), outcome, effect, Text(_failing(verdict)))
    return table


def _failing(verdict: Verdict) -> str:
    if not verdict.failing:
        return f"none of {verdict.cells} cells"
    more = len(verdict.failing) - LISTED
    listed = "; ".join(verdict.failing[:LISTED]) + (f"; and {more} more" if more > 0 else "")
    return f"{len(verdict.failing)} of {verdict.cells} cells: {listed}"
