"""What each cell of the transfer study says: how gains go together, and what chance would do."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from pandas import DataFrame
from scipy import stats

from jaxalign.statistics import Estimate, paired_effect, spearman
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
    """The finding of one cell.

    Attributes:
      problem: of the cell.
      measure: of transfer.
      reference: what gains are over.
      gains: of the layer that was frozen.
      correlation: Spearman's ρ of both gains, interval over networks.
      within: the same after the mean over each level of the dial is taken out of both: what the
        dial cannot explain.
      null: the 95 % quantile of |ρ| if transfer gains belong to targets at random.
      similar: transfer gain at the lowest dial, the source task: mean over networks.
      dissimilar: transfer gain at the highest dial, mean over its targets, then networks.
      p_each: one-sided p-values of ρ > 0, similar > 0 and dissimilar < 0.
    """

    problem: str
    measure: Measure
    reference: Reference
    gains: Gains
    correlation: Estimate
    within: Estimate
    null: float
    similar: Estimate
    dissimilar: Estimate
    p_each: tuple[float, float, float]

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.problem}, {self.measure} over {NAMES[self.reference]}"

    @property
    def p(self) -> float:
        """Of all three at once: the largest."""
        return max(self.p_each)

    def reasons(self, corrected: float, level: float = 0.05) -> list[str]:
        """What was not met, in words, if p is ``corrected`` for the other cells."""
        words = (
            f"gains do not go together (ρ = {self.correlation.value:.2f})",
            f"no positive transfer at dial 0 ({_signed(self.similar)})",
            f"no negative transfer at dial 1 ({_signed(self.dissimilar)})",
        )
        # The correction multiplies the largest p-value, and so it does the others.
        factor = corrected / self.p
        return [word for word, p in zip(words, self.p_each, strict=True) if p * factor > level]


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


def findings_of(table: DataFrame, resamples: int) -> list[Finding]:
    """Of every problem, measure and reference, in the last layer."""
    problems = table["problem"].unique()
    layer = table["layer"].iloc[-1]
    return [
        finding(table, problem, measure, reference, layer, resamples)
        for problem, measure, reference in itertools.product(problems, MEASURES, REFERENCES)
    ]


def finding(
    table: DataFrame,
    problem: str,
    measure: Measure,
    reference: Reference,
    layer: str,
    resamples: int,
) -> Finding:
    """The finding of one cell, of one layer; intervals of ρ from so many bootstrap samples."""
    both = gains(table, problem, layer, reference, measure)
    rho = correlation(both, resamples)
    null = null_correlations(both)
    similar = both.transfer[:, both.dials == both.dials.min()].mean(axis=1)
    dissimilar = both.transfer[:, both.dials == both.dials.max()].mean(axis=1)
    gain = paired_effect(similar, np.zeros_like(similar))
    loss = paired_effect(dissimilar, np.zeros_like(dissimilar))
    return Finding(
        problem,
        measure,
        reference,
        gains=both,
        correlation=rho,
        within=correlation(around_levels(both), resamples),
        null=float(np.quantile(np.abs(null), 0.95)),
        similar=gain.difference,
        dissimilar=loss.difference,
        p_each=(exceeding(null, rho.value), gain.p_greater, loss.p_less),
    )


def correlation(gains: Gains, resamples: int) -> Estimate:
    """Spearman's ρ of both gains over all networks and targets, its interval over networks."""
    networks = np.repeat(np.arange(len(gains.alignment)), len(gains.dials)).tolist()
    return spearman(
        gains.alignment.ravel(), gains.transfer.ravel(), clusters=networks, resamples=resamples
    )


def rank_correlation(gains: Gains) -> float:
    """Spearman's ρ alone."""
    return float(stats.spearmanr(gains.alignment.ravel(), gains.transfer.ravel()).statistic)


def null_correlations(
    gains: Gains, *, draws: int = 2000, seed: int = 0
) -> Float[np.ndarray, " draws"]:
    """Values of ρ if, in each network, transfer gains belonged to targets at random."""
    x = stats.rankdata(gains.alignment).reshape(gains.alignment.shape)
    y = stats.rankdata(gains.transfer).reshape(gains.transfer.shape)
    rng = np.random.default_rng(seed)
    # Standardized ranks, so that a product is ρ; only the order within networks is drawn.
    a = (x - x.mean()).ravel() / x.std() / x.size
    b = (y - y.mean()) / y.std()
    return np.array([a @ rng.permuted(b, axis=1).ravel() for _ in range(draws)])


def exceeding(null: np.ndarray, value: float) -> float:
    """The one-sided p-value of a value among draws of its null."""
    return (1 + np.count_nonzero(null >= value)) / (1 + len(null))


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


def _signed(effect: Estimate) -> str:
    return f"{effect.value:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"
