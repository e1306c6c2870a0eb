"""What a study is: a design of cells, a pure function that measures one, and what is concluded from
all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from matplotlib.figure import Figure

from jaxalign.statistics import Estimate

Config = TypeVar("Config")
Size = Literal["small", "paper"]
Outcome = Literal["holds", "holds in part", "does not hold"]

Value = str | int | float | bool
Cell = Mapping[str, Value]
"""One point of a design: factor → level. What JSON can hold, for it names the cell on disk."""
Row = Mapping[str, Value]
"""One line of the result table; all rows of a study have the same columns, the factors of their
cell first.
"""


class Verdict(NamedTuple):
    """What a study concludes.

    Attributes:
      outcome: whether the claim was met.
      effect: the number that decides it, with interval and n.
      of: what that number is, in words, with its unit: "area over ‖y‖², trained − untrained".
      failing: the cells in which the claim was not met, each in words.
      cells: how many cells there were.
      notes: what else a reader has to know, a sentence each.
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
          >>> Verdict("holds", effect, "area over ‖y‖², trained − untrained", ["sgd on digits"], cells=8).line()
          'holds: area over ‖y‖², trained − untrained: 2.5 [2.25, 2.75], n = 40; fails in 1 of 8
          cells'
        """
        return f"{self.outcome}: {self.of}: {self.estimate()}, n = {self.effect.n}; {self.extent()}"

    def estimate(self) -> str:
        """The effect with its interval: "2.5 [2.25, 2.75]"."""
        value, low, high = (
            f"{x:.3g}" for x in (self.effect.value, self.effect.low, self.effect.high)
        )
        return f"{value} [{low}, {high}]"

    def extent(self) -> str:
        """In how many cells the claim was met, or not."""
        if self.failing:
            return f"fails in {len(self.failing)} of {self.cells} cells"
        return (
            f"in all of {self.cells} cells" if self.outcome == "holds" else "no single cell fails"
        )


def outcome(failing: Sequence[str], cells: int) -> Outcome:
    """What it comes to where a claim is not met in these of so many cells."""
    return "holds" if not failing else "does not hold" if len(failing) == cells else "holds in part"


@dataclass(frozen=True)
class Study(Generic[Config]):
    """A claim and how it is put to the test.

    Attributes:
      name: of the command, `jaxalign study NAME`.
      claim: what is to be shown, in a sentence.
      source: whose claim it is: the paper's, as far as it could be read, or ours.
      sizes: the configurations: "small" runs in minutes on two cores, "paper" is for an
        accelerator.
      cells: the design of a configuration.
      measure: the rows of one cell; a pure function of both.
      verdict: what all rows say.
      figure: one picture of them.
    """

    name: str
    claim: str
    source: str
    sizes: Mapping[Size, Config]
    cells: Callable[[Config], Sequence[Cell]]
    measure: Callable[[Config, Cell], Sequence[Row]]
    verdict: Callable[[Config, Sequence[Row]], Verdict]
    figure: Callable[[Config, Sequence[Row]], Figure]


def column(rows: Sequence[Row], name: str) -> list[Any]:
    """One column of a table."""
    return [row[name] for row in rows]


def distinct(rows: Sequence[Row], *names: str) -> list[Any]:
    """What occurs in a column, or in several together, each once, in order."""
    columns = [column(rows, name) for name in names]
    return list(dict.fromkeys(columns[0] if len(columns) == 1 else zip(*columns, strict=True)))


def where(rows: Sequence[Row], factors: Cell) -> list[Row]:
    """The rows that have these values."""
    return [row for row in rows if all(row[name] == value for name, value in factors.items())]
