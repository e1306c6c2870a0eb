"""Several runs in the terminal: what each is, and a table of their differences."""

from collections.abc import Iterator

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from jaxalign._core.tables import WholeTable
from jaxalign.report.runs.differences import Differences, Row
from jaxalign.statistics import Estimate
from jaxalign.style.names import in_terminal


def differences_table(found: Differences) -> Group:
    """What `jaxalign show RUN RUN` prints: runs by letter, a row per quantity and layer."""
    parts: list[RenderableType] = [
        in_terminal(f"{letter}: {run.name}") + in_terminal(f"  {run.title}", "dim")
        for letter, run in zip(letters(found), found.runs, strict=True)
    ]
    table = WholeTable(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    first, *others = letters(found)
    for heading in ("measure", "layer"):
        table.add_column(heading, no_wrap=True)
    for heading in ("step", first, *others):
        table.add_column(heading, justify="right", no_wrap=True)
    for letter in others:
        table.add_column(f"{letter} − {first}", no_wrap=True)
    for row in found.rows:
        name = in_terminal(row.quantity.name)
        table.add_row(name, in_terminal(row.layer), *map(Text, cells(row)))
    notes = [in_terminal(note, "dim") for note in found.notes]
    return Group(*parts, "", table, "", *notes)


def letters(found: Differences) -> list[str]:
    """A, B, C, ...; of more than there are letters, their numbers."""
    if len(found.runs) > 26:
        return [str(number + 1) for number in range(len(found.runs))]
    return [chr(ord("A") + number) for number in range(len(found.runs))]


def cells(row: Row) -> Iterator[str]:
    """The step, the mean of each run, and each difference with its interval."""
    yield f"{row.step:,}"
    yield from map(_shown, row.means)
    yield from map(_signed, row.differences)


def _shown(value: float) -> str:
    return "NaN" if np.isnan(value) else f"{value:.3g}"


def _signed(difference: Estimate) -> str:
    if np.isnan(difference.value):
        return "NaN"
    if np.isnan(difference.low):
        return f"{difference.value:+.3g}"
    return f"{difference.value:+.3g} [{difference.low:+.3g}, {difference.high:+.3g}]"
