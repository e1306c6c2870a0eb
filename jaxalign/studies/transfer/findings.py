"""What each part of the transfer study says: how gains go together, and which sign transfer has."""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from pandas import DataFrame

from jaxalign.statistics import Interval, mean_interval
from jaxalign.studies.shared.ranks import rank_correlation
from jaxalign.studies.transfer.gains import (
    MEASURES,
    NAMES,
    REFERENCES,
    Gains,
    Measure,
    Reference,
    around_levels,
    gains,
)


class Finding(NamedTuple):
    """What one problem says by one measure of transfer, over one reference.

    Attributes:
      problem: its name.
      measure: of transfer.
      reference: what gains are over.
      gains: of the layer that was frozen.
    """

    problem: str
    measure: Measure
    reference: Reference
    gains: Gains

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.problem}, {self.measure} over {NAMES[self.reference]}"

    @property
    def correlation(self) -> Interval:
        """Spearman's ρ of both gains within a network."""
        return correlation(self.gains)

    @property
    def within(self) -> Interval:
        """The same without the mean over each level of the dial: what the dial cannot explain."""
        return correlation(around_levels(self.gains))

    def claims(self) -> dict[str, Interval]:
        """The three effects that are above 0 where the claim is met, by name."""
        dials = self.gains.dials
        similar = self.gains.transfer[:, dials == dials.min()].mean(axis=1)
        dissimilar = self.gains.transfer[:, dials == dials.max()].mean(axis=1)
        return {
            f"{self.name}: ρ of both gains": self.correlation,
            f"{self.name}: transfer at dial 0": partial(mean_interval, similar),
            f"{self.name}: −transfer at dial 1": partial(mean_interval, -dissimilar),
        }


class Signs(NamedTuple):
    """How often two gains are above 0: shares of all pairs; a gain of exactly 0 counts as none.

    Attributes:
      both: positive both.
      alignment: alignment alone.
      transfer: transfer alone.
      neither: none of them.
    """

    both: float
    alignment: float
    transfer: float
    neither: float

    @property
    def agree(self) -> float:
        """Share of pairs of the same sign."""
        return self.both + self.neither

    @property
    def by_chance(self) -> float:
        """That share if the two signs were independent, and as frequent as they are."""
        a = self.both + self.alignment
        t = self.both + self.transfer
        return a * t + (1 - a) * (1 - t)


def findings_of(table: DataFrame) -> list[Finding]:
    """Of every problem, measure and reference, in the last layer."""
    problems = table["problem"].unique()
    layer = table["layer"].iloc[-1]
    return [
        Finding(problem, measure, reference, gains(table, problem, layer, reference, measure))
        for problem, measure, reference in itertools.product(problems, MEASURES, REFERENCES)
    ]


def correlation(gains: Gains) -> Interval:
    """Spearman's ρ of both gains over the targets of a network, mean over networks.

    Networks are independent, the targets of one are not. If its transfer gains belonged to targets
    at random, ρ would be 0 on average.
    """
    rho = [rank_correlation(a, t) for a, t in zip(gains.alignment, gains.transfer, strict=True)]
    return partial(mean_interval, rho, within=(-1, 1))


def signs(gains: Sequence[Gains]) -> Signs:
    """Of all pairs of all gains given."""
    a = np.concatenate([each.alignment.ravel() for each in gains]) > 0
    t = np.concatenate([each.transfer.ravel() for each in gains]) > 0
    return Signs(
        both=float(np.mean(a & t)),
        alignment=float(np.mean(a & ~t)),
        transfer=float(np.mean(~a & t)),
        neither=float(np.mean(~a & ~t)),
    )
