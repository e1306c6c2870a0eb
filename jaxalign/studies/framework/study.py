"""A study: a design of cells, a pure function that measures one cell, and a verdict on all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from matplotlib.figure import Figure

from jaxalign.studies.framework.verdict import Verdict
from jaxalign.style.layout import Layout

if TYPE_CHECKING:
    from pandas import DataFrame

Config = TypeVar("Config")
Size = Literal["small", "medium", "paper"]

Value = str | int | float | bool
Cell = Mapping[str, Value]
"""One point of a design: factor → level. JSON holds it, and it identifies the cell on disk."""
Row = Mapping[str, Value]
"""One row of the table.

All rows of a study have the same columns; the factors of the cell come first.
"""


@dataclass(frozen=True)
class Study(Generic[Config]):
    """A claim and its test.

    Attributes:
      name: of the command, `jaxalign study NAME`.
      claim: what is to be shown, in a sentence.
      source: whose claim it is: the paper's, as far as it could be read, or ours.
      comparison: what is compared to decide it, and whose choice that is.
      sizes: the configurations: "small" runs in minutes on two cores and decides signs, "medium"
        in at most an hour, with data from outside the package where they are at hand; "paper"
        is for an accelerator.
      cells: the design of a configuration.
      measure: the rows of one cell; a pure function of both.
      verdict: the conclusion from the table, which holds the rows of all cells.
      figure: one picture of the table, for a wide or a narrow page.
    """

    name: str
    claim: str
    source: str
    comparison: str
    sizes: Mapping[Size, Config]
    cells: Callable[[Config], Sequence[Cell]]
    measure: Callable[[Config, Cell], Sequence[Row]]
    verdict: "Callable[[Config, DataFrame], Verdict]"
    figure: "Callable[[Config, DataFrame, Layout], Figure]"
