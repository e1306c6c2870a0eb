"""A study: a design of cells, a pure function that measures one cell, and a verdict on all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar

from matplotlib.figure import Figure

from jaxalign.statistics import Estimate

if TYPE_CHECKING:
    from pandas import DataFrame

Config = TypeVar("Config")
Size = Literal["small", "paper"]
Outcome = Literal["holds", "holds in part", "does not hold"]

Value = str | int | float | bool
Cell = Mapping[str, Value]
"""One point of a design: factor → level. JSON holds it, and it identifies the cell on disk."""
Row = Mapping[str, Value]
"""One row of the table.

All rows of a study have the same columns; the factors of the cell come first.
"""


class Verdict(NamedTuple):
    """The conclusion of a study.

    Attributes:
      outcome: whether the claim was met.
      effect: the number that decides it, with interval and n.
      of: what that number is, in words, with its unit: "area over ‖y‖², trained − untrained".
      failing: the cells in which the claim was not met, each in words.
      cells: the number of cells.
      notes: what else a reader has to know, one sentence each.
    """

    outcome: Outcome
    effect: Estimate
    of: str
    failing: Sequence[str]
    cells: int
    notes: Sequence[str] = ()

    def line(self) -> str:
        """The verdict in one line.

        Example:
          >>> from jaxalign.statistics import Estimate
          >>> effect = Estimate(2.5, 2.25, 2.75, n=40)
          >>> Verdict("holds", effect, "area over ‖y‖²", ["sgd on digits"], cells=8).line()
          'holds: area over ‖y‖²: 2.5 [2.25, 2.75], n = 40; fails in 1 of 8 cells'
        """
        return f"{self.outcome}: {self.of}: {self.estimate()}, n = {self.effect.n}; {self.extent()}"

    def estimate(self) -> str:
        """The effect with its interval: "2.5 [2.25, 2.75]"."""
        return f"{self.effect.value:.3g} [{self.effect.low:.3g}, {self.effect.high:.3g}]"

    def extent(self) -> str:
        """The number of cells in which the claim was met, or not."""
        if self.failing:
            return f"fails in {len(self.failing)} of {self.cells} cells"
        if self.outcome == "holds":
            return f"in all of {self.cells} cells"
        return "no single cell fails"


def outcome(failing: Sequence[str], cells: int) -> Outcome:
    """The outcome of a claim that is not met in ``failing`` of so many cells."""
    if not failing:
        return "holds"
    if len(failing) == cells:
        return "does not hold"
    return "holds in part"


@dataclass(frozen=True)
class Study(Generic[Config]):
    """A claim and its test.

    Attributes:
      name: of the command, `jaxalign study NAME`.
      claim: what is to be shown, in a sentence.
      source: who claims it: the paper, as far as it could be read, or this project.
      sizes: the configurations: "small" runs in minutes on two cores, "paper" is for an
        accelerator.
      cells: the design of a configuration.
      measure: the rows of one cell; a pure function of both.
      verdict: the conclusion from the table, which holds the rows of all cells.
      figure: one picture of the table.
    """

    name: str
    claim: str
    source: str
    sizes: Mapping[Size, Config]
    cells: Callable[[Config], Sequence[Cell]]
    measure: Callable[[Config, Cell], Sequence[Row]]
    verdict: "Callable[[Config, DataFrame], Verdict]"
    figure: "Callable[[Config, DataFrame], Figure]"
