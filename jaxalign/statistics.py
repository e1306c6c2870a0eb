"""Estimates with intervals: over seeds, over pairs, of rank correlations, and what is left of
p-values when there are many.

scipy.stats takes half a second to import, so only what cannot do without it does, when it is
called.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special


class Estimate(NamedTuple):
    """A value with its confidence interval; arrays where there are several.

    Attributes:
      value: the estimate.
      low: lower end of the interval.
      high: upper end.
      n: what it was made of: seeds, runs or pairs.
    """

    value: Any
    low: Any
    high: Any
    n: int

    def map(self, change: Callable[[Any], Any]) -> "Estimate":
        """The same of value and both ends changed, by something that keeps their order."""
        return Estimate(change(self.value), change(self.low), change(self.high), self.n)


class Paired(NamedTuple):
    """The effect of one thing on pairs.

    Attributes:
      difference: the mean of after − before, with interval.
      standardized: d_z, the mean difference over the standard deviation of the differences.
      p: of a paired t test, two-sided; 1 where no pair differs.
    """

    difference: Estimate
    standardized: float
    p: float


class Jackknifed(NamedTuple):
    """A statistic of samples that is no mean of them.

    Attributes:
      estimate: with interval; its n counts the groups.
      p: one-sided, of being above 0.
    """

    estimate: Estimate
    p: float


class Trend(NamedTuple):
    """Whether values rise from column to column.

    Attributes:
      statistic: Page's L.
      p: one-sided, of rising.
    """

    statistic: float
    p: float


def mean_interval(values: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """The mean over the first axis, x̄ ± t_{n−1}·s/√n.

    Args:
      values: (n, ...) of n ≥ 2 independent repetitions.
      confidence: of the interval, in (0, 1).

    Raises:
      ValueError: under two values, a value that is not finite, a confidence outside (0, 1).

    Example:
      >>> mean_interval([1.0, 2.0, 3.0])
      Estimate(value=2.0, low=-0.48..., high=4.48..., n=3)

    Source: Student's t interval.
    """
    x = _sample(values, "values", confidence, at_least=2)
    n = len(x)
    half = special.stdtrit(n - 1, (1 + confidence) / 2) * x.std(axis=0, ddof=1) / np.sqrt(n)
    mean = x.mean(axis=0)
    return _estimate(mean, mean - half, mean + half, n)


def median_interval(values: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """The median over the first axis, between two order statistics: true of any distribution.

    Args:
      values: (n, ...) of n ≥ 1 independent repetitions.
      confidence: of the interval, in (0, 1), and at least that; where n is too small for it (under
        6 for 0.95) the interval is the range, whose confidence is 1 − 2^{1−n}.

    Raises:
      ValueError: no values, a value that is not finite, a confidence outside (0, 1).

    Example:
      >>> median_interval([5.0, 1.0, 2.0, 4.0, 3.0, 6.0, 7.0, 8.0])
      Estimate(value=4.5, low=1.0, high=8.0, n=8)

    Source: the binomial interval of order statistics.
    """
    x = np.sort(_sample(values, "values", confidence, at_least=1), axis=0)
    n = len(x)
    below = special.bdtr(
        np.arange(n), n, 0.5
    )  # the chance that at most so many lie under the median
    first = max(
        int(np.count_nonzero(below <= (1 - confidence) / 2)) - 1, 0
    )  # so many on either side are left out
    return _estimate(np.median(x, axis=0), x[first], x[n - 1 - first], n)


def paired_effect(after: ArrayLike, before: ArrayLike, *, confidence: float = 0.95) -> Paired:
    """What a change did to pairs: mean difference with interval, d_z, and the p-value of a paired t
    test.

    Args:
      after: (n,) values with it.
      before: (n,) values of the same pairs without it.
      confidence: of the interval.

    Raises:
      ValueError: different lengths, under two pairs, a value that is not finite.

    Example:
      >>> effect = paired_effect([2.0, 3.5, 4.0], [1.0, 2.0, 3.0])
      >>> round(effect.difference.value, 3), round(effect.standardized, 2), round(effect.p, 3)
      (1.167, 4.04, 0.02)

    Source: Student's paired t test; d_z of Lakens (Frontiers in Psychology 2013).
    """
    x, y = (
        _sample(v, name, confidence, at_least=2)
        for v, name in ((after, "after"), (before, "before"))
    )
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(
            f"after and before must be of one length, (n,), found shapes {x.shape} and {y.shape}"
        )
    gain = x - y
    spread = gain.std(ddof=1)
    if spread == 0:
        size, p = (0.0, 1.0) if gain[0] == 0 else (np.inf * np.sign(gain[0]), 0.0)
    else:
        size, p = (
            gain.mean() / spread,
            2 * special.stdtr(len(gain) - 1, -abs(gain.mean()) / spread * np.sqrt(len(gain))),
        )
    return Paired(mean_interval(gain, confidence=confidence), float(size), float(p))


def jackknife(whole: float, without: ArrayLike, *, confidence: float = 0.95) -> Jackknifed:
    """A smooth statistic θ of samples, θ ± t_{g−1}·s with s² = (g−1)/g · Σ(θ_j − mean θ)², θ_j
    being θ without group j.

    No sample is taken twice. In a bootstrap, repeated samples share their label, which no measure
    of how labels lie in more dimensions than samples can tell from alignment.

    Args:
      whole: θ of all samples.
      without: (g,) θ without each of g ≥ 2 groups of equal size, drawn at random or one of every
        kind.
      confidence: of the interval.

    Raises:
      ValueError: under two groups, a value that is not finite, a confidence outside (0, 1).

    Example:
      >>> jackknife(2.0, [2.5, 2.0, 1.5])  # the mean of 1, 2, 3, each left out once
      Jackknifed(estimate=Estimate(value=2.0, low=-0.48..., high=4.48..., n=3), p=0.037...)

    Source: Efron, Stein (Annals of Statistics 1981); Shao, Wu (Annals of Statistics 1989) for
      groups.
    """
    x = _sample(without, "without", confidence, at_least=2)
    theta = _sample([whole], "whole", confidence, at_least=1)[0]
    g = len(x)
    error = np.sqrt((g - 1) / g * np.sum((x - x.mean(axis=0)) ** 2, axis=0))
    half = special.stdtrit(g - 1, (1 + confidence) / 2) * error
    p = special.stdtr(g - 1, -theta / error) if error > 0 else float(theta <= 0)
    return Jackknifed(_estimate(theta, theta - half, theta + half, g), float(p))


def spearman(
    x: ArrayLike,
    y: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Spearman's rank correlation ρ with a percentile bootstrap interval, whole clusters drawn at
    once.

    Args:
      x: (n,) values.
      y: (n,) values.
      clusters: what each pair belongs to, when pairs of one cluster (a seed, a network) are not
        independent; by default each is its own. ``Estimate.n`` counts pairs.
      confidence: of the interval.
      resamples: bootstrap samples.
      seed: of the draws.

    Raises:
      ValueError: different lengths, under three pairs, under two clusters, a value that is not
        finite, all x or all y equal.

    Example:
      >>> spearman([1, 2, 3, 4, 5, 6], [1, 3, 2, 4, 6, 5]).value
      0.885...

    Source: Spearman's ρ; the cluster bootstrap of Field and Welsh (JRSS B 2007).
    """
    x, y = (_sample(v, name, confidence, at_least=3) for v, name in ((x, "x"), (y, "y")))
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(
            f"x and y must be of one length, (n,), found shapes {x.shape} and {y.shape}"
        )
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise ValueError(
            "x and y must each hold two different values at least; a constant has no rank correlation"
        )
    belongs = list(range(len(x))) if clusters is None else list(clusters)
    if len(belongs) != len(x):
        raise ValueError(
            f"clusters must name one for each of the {len(x)} pairs, found {len(belongs)}"
        )
    members: dict[Hashable, list[int]] = {}
    for i, name in enumerate(belongs):
        members.setdefault(name, []).append(i)
    groups = [np.array(group) for group in members.values()]
    if len(groups) < 2:
        raise ValueError("clusters must be two at least: of one, no interval can be drawn")
    draw = np.random.default_rng(seed)
    drawn = np.array([_rho(x, y, _resample(groups, draw)) for _ in range(resamples)])
    low, high = np.nanquantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return _estimate(_rho(x, y, np.arange(len(x))), low, high, len(x))


def page_trend(table: ArrayLike) -> Trend:
    """Page's test of whether values rise from the first column to the last, rows being independent
    repetitions.

    Args:
      table: (n, k), n ≥ 2 repetitions of k ≥ 3 ordered conditions.

    Raises:
      ValueError: fewer rows or columns, a value that is not finite.

    Example:
      >>> round(page_trend([[1, 2, 3, 4], [1, 3, 2, 4], [2, 1, 3, 4]]).p, 4)
      0.0029

    Source: Page (JASA 1963), as in scipy.
    """
    x = _sample(table, "table", 0.95, at_least=2)
    if x.ndim != 2 or x.shape[1] < 3:
        raise ValueError(
            f"table must be of (repetitions, 3 or more conditions), found shape {x.shape}"
        )
    from scipy.stats import page_trend_test

    found = page_trend_test(x)
    return Trend(float(found.statistic), float(found.pvalue))


def holm(p: ArrayLike) -> np.ndarray:
    """p-values adjusted so that the chance of any false rejection stays under the level: Holm's
    steps down.

    Args:
      p: (m,) p-values.

    Raises:
      ValueError: none, or values outside [0, 1].

    Example:
      >>> holm([0.01, 0.04, 0.03]).tolist()
      [0.03, 0.06, 0.06]

    Source: Holm (Scandinavian Journal of Statistics 1979).
    """
    p = _p_values(p)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def benjamini_hochberg(p: ArrayLike) -> np.ndarray:
    """p-values adjusted so that the expected share of false rejections among all stays under the
    level.

    Args:
      p: (m,) p-values, independent or positively dependent.

    Raises:
      ValueError: none, or values outside [0, 1].

    Example:
      >>> benjamini_hochberg([0.01, 0.04, 0.03]).tolist()
      [0.03, 0.04, 0.04]

    Source: Benjamini and Hochberg (JRSS B 1995), as in scipy.
    """
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(_p_values(p)))


def _rho(x: np.ndarray, y: np.ndarray, chosen: np.ndarray) -> float:
    from scipy.stats import rankdata

    a, b = rankdata(x[chosen]), rankdata(y[chosen])
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


def _resample(groups: Sequence[np.ndarray], draw: np.random.Generator) -> np.ndarray:
    return np.concatenate([groups[i] for i in draw.integers(len(groups), size=len(groups))])


def _estimate(value: Any, low: Any, high: Any, n: int) -> Estimate:
    """Numbers as Python's, so that a table or JSON takes them."""

    def plain(v):
        return float(v) if np.ndim(v) == 0 else v

    return Estimate(plain(value), plain(low), plain(high), n)


def _p_values(p: ArrayLike) -> np.ndarray:
    p = np.asarray(p, np.float64)
    if p.ndim != 1 or not len(p) or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p must be (m,) p-values in [0, 1], found {p}")
    return p


def _sample(values: ArrayLike, name: str, confidence: float, at_least: int) -> np.ndarray:
    x = np.asarray(values, np.float64)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, found {confidence}")
    if x.ndim == 0 or len(x) < at_least:
        raise ValueError(f"{name} must hold at least {at_least} repetitions, found shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(
            f"{name} must be finite, found {np.count_nonzero(~np.isfinite(x))} values that are not"
        )
    return x
