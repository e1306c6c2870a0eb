"""What the transfer study reads off its table: gains over a reference, how they go together, and
what chance would do.
"""

import itertools
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from jaxalign.statistics import Estimate, Paired, paired_effect, spearman
from jaxalign.studies.framework.study import Row, column, distinct, where

Reference = Literal["input", "untrained"]
Measure = Literal["speed", "accuracy"]
REFERENCES: tuple[Reference, ...] = ("input", "untrained")
MEASURES: tuple[Measure, ...] = ("speed", "accuracy")
NAMES: dict[Reference, str] = {"input": "the raw input", "untrained": "the untrained network"}


class Gains(NamedTuple):
    """What a trained representation has over a reference, on the same targets: s networks, k
    targets.

    Attributes:
      dials: (k,) how far each target is from the source.
      alignment: (s, k) area/(‖y‖²√n), trained − reference.
      transfer: (s, k) speed: mean log-loss of the head while it is trained, reference − trained, in
        nats; accuracy: share of test points, trained − reference.
    """

    dials: np.ndarray
    alignment: np.ndarray
    transfer: np.ndarray


class Finding(NamedTuple):
    """What one cell says.

    Attributes:
      problem: of it.
      measure: of transfer.
      reference: what gains are over.
      gains: of the layer that was frozen.
      correlation: Spearman's ρ of both gains, interval over networks.
      within: the same after the mean over each level of the dial is taken out of both: what the
        dial cannot explain.
      null: 95 % of |ρ| lie under it if transfer gains belong to targets at random.
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

        def shown(e):
            return f"{e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]"

        words = (
            f"gains do not go together (ρ = {self.correlation.value:.2f})",
            f"no positive transfer at dial 0 ({shown(self.similar)})",
            f"no negative transfer at dial 1 ({shown(self.dissimilar)})",
        )
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
        """What that share would be if the two signs were independent and as frequent as they are."""
        a, t = self.both + self.alignment, self.both + self.transfer
        return a * t + (1 - a) * (1 - t)


def gains(
    rows: Sequence[Row], problem: str, layer: str, reference: Reference, measure: Measure
) -> Gains:
    """The gains of one problem and layer, from rows in the order of networks, then targets."""
    chosen = where(rows, {"problem": problem, "layer": layer})

    def table(name):
        return np.reshape(column(chosen, name), (len(set(column(chosen, "seed"))), -1))

    def over(quantity):
        return table(f"{quantity}_trained") - table(f"{quantity}_{reference}")

    transfer = -over("loss") if measure == "speed" else over("accuracy")
    return Gains(table("dial")[0], over("area"), transfer)


def findings(rows: Sequence[Row], resamples: int) -> list[Finding]:
    """Of every problem, measure and reference, in the last layer."""
    problems, last = distinct(rows, "problem"), column(rows, "layer")[-1]
    return [
        finding(rows, *case, last, resamples)
        for case in itertools.product(problems, MEASURES, REFERENCES)
    ]


def finding(
    rows: Sequence[Row],
    problem: str,
    measure: Measure,
    reference: Reference,
    layer: str,
    resamples: int,
) -> Finding:
    """What one cell says, of one layer; intervals of ρ from so many bootstrap samples."""
    found = gains(rows, problem, layer, reference, measure)
    rho, null = correlation(found, resamples), null_correlations(found)
    first, last = (
        found.transfer[:, found.dials == dial].mean(axis=1)
        for dial in (found.dials.min(), found.dials.max())
    )
    nothing = np.zeros_like(first)
    similar, dissimilar, loss = (
        paired_effect(first, nothing),
        paired_effect(last, nothing),
        paired_effect(nothing, last),
    )
    return Finding(
        problem,
        measure,
        reference,
        gains=found,
        correlation=rho,
        within=correlation(around_levels(found), resamples),
        null=float(np.quantile(np.abs(null), 0.95)),
        similar=similar.difference,
        dissimilar=dissimilar.difference,
        p_each=(exceeding(null, rho.value), _one_sided(similar), _one_sided(loss)),
    )


def correlation(found: Gains, resamples: int) -> Estimate:
    """Spearman's ρ of both gains over all networks and targets, its interval over networks."""
    networks = np.repeat(np.arange(len(found.alignment)), len(found.dials)).tolist()
    return spearman(
        found.alignment.ravel(), found.transfer.ravel(), clusters=networks, resamples=resamples
    )


def rank_correlation(found: Gains) -> float:
    """Spearman's ρ alone."""
    return float(stats.spearmanr(found.alignment.ravel(), found.transfer.ravel()).statistic)


def around_levels(found: Gains) -> Gains:
    """Both gains without their mean over each level of the dial."""
    level = np.round(found.dials, 6)

    def means(values):
        return np.array([values[:, level == one].mean() for one in level])

    return Gains(found.dials, *(values - means(values) for values in found[1:]))


def null_correlations(found: Gains, *, draws: int = 2000, seed: int = 0) -> np.ndarray:
    """(draws,) values of ρ if, in each network, transfer gains belonged to targets at random."""
    x, y = (
        stats.rankdata(values).reshape(values.shape) for values in (found.alignment, found.transfer)
    )
    rng = np.random.default_rng(seed)
    a = (x - x.mean()).ravel() / x.std() / x.size
    b = (y - y.mean()) / y.std()
    return np.array([a @ rng.permuted(b, axis=1).ravel() for _ in range(draws)])


def exceeding(null: np.ndarray, value: float) -> float:
    """The one-sided p-value of a value among draws of its null."""
    return (1 + np.count_nonzero(null >= value)) / (1 + len(null))


def signs(found: Sequence[Gains]) -> Signs:
    """Of all pairs of all gains given."""
    a = np.concatenate([each.alignment.ravel() for each in found]) > 0
    t = np.concatenate([each.transfer.ravel() for each in found]) > 0
    return Signs(*(float(np.mean(x)) for x in (a & t, a & ~t, ~a & t, ~a & ~t)))


def _one_sided(effect: Paired) -> float:
    """Of a difference above 0."""
    return effect.p / 2 if effect.difference.value > 0 else 1 - effect.p / 2
