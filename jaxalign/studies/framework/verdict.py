"""How a study is judged: every cell, and the whole, is supported, undecided or contradicted."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from jaxalign.statistics import Estimate, Interval, simultaneous

Outcome = Literal["supported", "undecided", "contradicted"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class Judged(NamedTuple):
    """One cell of a study.

    Attributes:
      name: of the cell, in words.
      effect: above 0 where the claim is met; its interval is corrected for the other cells.
    """

    name: str
    effect: Estimate

    @property
    def outcome(self) -> Outcome:
        """Supported if the interval is above 0, contradicted if it is below."""
        return outcome_of(self.effect)

    def __str__(self) -> str:
        return f"{self.name}: {in_words(self.effect)}"


class Verdict(NamedTuple):
    """The conclusion of a study.

    Attributes:
      effect: the number that decides, above 0 where the claim is met, with its interval.
      of: what that number is, in words, with its unit: "area over ‖y‖², trained − untrained".
      over: what is independent, and counted by n of the effect: "networks".
      cells: the parts of the design in which the claim was tested.
      notes: what else a reader has to know, one sentence each.
    """

    effect: Estimate
    of: str
    over: str
    cells: Sequence[Judged]
    notes: Sequence[str] = ()

    @property
    def outcome(self) -> Outcome:
        """That of the deciding interval."""
        return outcome_of(self.effect)

    def line(self) -> str:
        """The verdict in one line.

        Example:
          >>> from jaxalign.statistics import Estimate
          >>> cells = [Judged("sgd", Estimate(2.0, 1.0, 3.0, n=5))]
          >>> Verdict(Estimate(2.5, 2.25, 2.75, n=5), "area over ‖y‖²", "networks", cells).line()
          'supported: area over ‖y‖²: 2.5 [2.25, 2.75] over 5 networks; 1 of 1 cells supported'
        """
        return f"{self.outcome}: {self.of}: {self.estimate()}; {self.extent()}"

    def estimate(self) -> str:
        """The effect with its interval and units: "2.5 [2.25, 2.75] over 5 networks"."""
        return f"{in_words(self.effect)} over {self.units()}"

    def units(self) -> str:
        """How many units the interval is over: "5 networks"."""
        return f"{self.effect.n:,} {self.over}"

    def counts(self) -> dict[Outcome, int]:
        """How many cells came out how."""
        return {outcome: len(self.named(outcome)) for outcome in OUTCOMES}

    def named(self, outcome: Outcome) -> list[Judged]:
        """The cells of an outcome."""
        return [cell for cell in self.cells if cell.outcome == outcome]

    def extent(self) -> str:
        """How many cells came out how, in words."""
        counts = self.counts()
        if counts["supported"] == len(self.cells):
            return f"{len(self.cells)} of {len(self.cells)} cells supported"
        parts = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        return f"of {len(self.cells)} cells {parts}"


def outcome_of(effect: Estimate) -> Outcome:
    """The outcome of a claim that is met where an effect is above 0."""
    if effect.low > 0:
        return "supported"
    if effect.high < 0:
        return "contradicted"
    return "undecided"


def judged(effects: Mapping[str, Interval], *, level: float = 0.05) -> list[Judged]:
    """Judge the cells of a study together: Holm's correction keeps all of their outcomes right with
    probability 1 − level.

    Args:
      effects: name of a cell → its effect, above 0 where the claim is met, at any confidence.
      level: the probability that any cell is called supported or contradicted by chance.
    """
    corrected = simultaneous(list(effects.values()), confidence=1 - level)
    return [Judged(name, effect) for name, effect in zip(effects, corrected, strict=True)]


def in_words(effect: Estimate) -> str:
    """A value with its interval: "2.5 [2.25, 2.75]"."""
    return f"{effect.value:.3g} [{effect.low:.3g}, {effect.high:.3g}]"
