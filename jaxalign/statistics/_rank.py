"""What only the order of values tells: rank correlation and trend.

scipy.stats takes half a second to import, so it is imported when a function is called.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from jaxalign.statistics._estimate import Estimate, checked_sample, estimate


class Trend(NamedTuple):
    """Whether values rise from column to column.

    Attributes:
      statistic: Page's L.
      p: one-sided p-value of a rise.
    """

    statistic: float
    p: float


def spearman(
    x: ArrayLike,
    y: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Spearman's rank correlation ρ, with a percentile bootstrap interval over clusters.

    Args:
      x: (n,) values.
      y: (n,) values.
      clusters: the cluster of each pair, if pairs of one cluster (a seed, a network) are not
        independent; by default each pair is its own. ``Estimate.n`` counts pairs.
      confidence: of the interval.
      resamples: number of bootstrap samples. Each draws as many clusters as there are, with
        replacement; samples in which x or y is constant have no ρ and are left out.
      seed: of the draws.

    Raises:
      ValueError: different lengths, fewer than three pairs or two clusters, a value that is not
        finite, all x or all y equal.

    Example:
      >>> spearman([1, 2, 3, 4, 5, 6], [1, 3, 2, 4, 6, 5]).value
      0.885...

    Source: Spearman's ρ, as in scipy; the cluster bootstrap of Field and Welsh (JRSS B 2007).
    """
    x = checked_sample(x, "x", at_least=3, confidence=confidence)
    y = checked_sample(y, "y", at_least=3, confidence=confidence)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(
            f"x and y must be of one length, (n,), found shapes {x.shape} and {y.shape}"
        )
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise ValueError(
            "x and y must each hold two different values at least; "
            "a constant has no rank correlation"
        )
    groups = _groups(clusters, len(x))
    draw = np.random.default_rng(seed)
    correlations = []
    for _ in range(resamples):
        rows = _resample(groups, draw)
        correlations.append(_correlation(x[rows], y[rows]))
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(correlations, [tail, 1 - tail])
    return estimate(_correlation(x, y), low, high, len(x))


def page_trend(table: ArrayLike) -> Trend:
    """Page's test of a rise from the first column to the last; rows are independent repetitions.

    Args:
      table: (n, k), n ≥ 2 repetitions of k ≥ 3 ordered conditions.

    Raises:
      ValueError: fewer rows or columns, a value that is not finite.

    Example:
      >>> round(page_trend([[1, 2, 3, 4], [1, 3, 2, 4], [2, 1, 3, 4]]).p, 4)
      0.0029

    Source: Page (JASA 1963), as in scipy.
    """
    repetitions = checked_sample(table, "table", at_least=2)
    if repetitions.ndim != 2 or repetitions.shape[1] < 3:
        raise ValueError(
            f"table must be of (repetitions, 3 or more conditions), found shape {repetitions.shape}"
        )
    from scipy.stats import page_trend_test

    test = page_trend_test(repetitions)
    return Trend(float(test.statistic), float(test.pvalue))


def _correlation(x: Float[np.ndarray, " m"], y: Float[np.ndarray, " m"]) -> float:
    """Spearman's ρ; NaN for constants, of which scipy would warn."""
    from scipy.stats import spearmanr

    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(spearmanr(x, y).statistic)


def _groups(clusters: Sequence[Hashable] | None, n: int) -> list[Int[np.ndarray, " size"]]:
    """The rows of each cluster."""
    if clusters is None:
        return list(np.arange(n)[:, None])
    if len(clusters) != n:
        raise ValueError(f"clusters must name one for each of the {n} pairs, found {len(clusters)}")
    members: dict[Hashable, list[int]] = {}
    for row, name in enumerate(clusters):
        members.setdefault(name, []).append(row)
    if len(members) < 2:
        raise ValueError("clusters must be two at least: of one, no interval can be drawn")
    return [np.array(rows) for rows in members.values()]


def _resample(
    groups: Sequence[Int[np.ndarray, " size"]], draw: np.random.Generator
) -> Int[np.ndarray, " m"]:
    chosen = draw.integers(len(groups), size=len(groups))
    return np.concatenate([groups[i] for i in chosen])
