"""Rows that networks trained on, and rows held out of training: the parts of a study's table."""

from pandas import DataFrame

from jaxalign.studies.framework.verdict import Verdict

ROWS = "rows"
"""The column that says which rows of the data were measured."""
TRAINED_ON = "trained on"
HELD_OUT = "held out"


def part(table: DataFrame, rows: str) -> DataFrame:
    """The lines of a table that were measured on these rows of the data."""
    return table[table[ROWS] == rows]


def held_out_note(verdict: Verdict) -> str:
    """What a study's test says on held-out rows, beside the verdict on the rows trained on."""
    note = f"the same on rows held out of training: {verdict.outcome}, {verdict.estimate()}; "
    note += verdict.extent()
    if against := verdict.named("contradicted"):
        note += f", contradicted {'; '.join(map(str, against))}"
    return note
