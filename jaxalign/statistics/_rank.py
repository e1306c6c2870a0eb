"""What only the order of values tells: rank correlation and trend.

scipy.stats takes half a second to import, so it is imported when a function is called.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy import special

from jaxalign.statistics._checks import as_whole
from jaxalign.statistics._estimate import Estimate, checked_sample, estimate

# Bootstrap samples that are ranked together.
_AT_ONCE = 256


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
    """Spearman's rank correlation ρ, with a percentile bootstrap interval over g clusters.

    The tails are Φ(−t·√(g/(g−1))) with Student's t of g − 1 degrees of freedom, in place of
    (1 − confidence)/2: percentiles alone are too narrow where clusters are few.

    Args:
      x: (n,) values.
      y: (n,) values.
      clusters: the cluster of each pair, if pairs of one cluster (a seed, a network) are not
        independent; by default each pair is its own. ``Estimate.n`` counts clusters.
      confidence: of the interval.
      resamples: number of bootstrap samples. Each draws as many clusters as there are, with
        replacement; samples in which x or y is constant have no ρ and are left out.
      seed: of the draws.

    Returns:
      Estimate of ρ; n counts the clusters.

    Raises:
      ValueError: different lengths, fewer than three pairs or two clusters, a value that is not
        finite, all x or all y equal, a cluster that is NaN.

    Example:
      >>> from jaxalign.statistics import spearman
      >>> spearman([1, 2, 3, 4, 5, 6], [1, 3, 2, 4, 6, 5]).value
      0.885...

    Source: Spearman's ρ, as in scipy; the cluster bootstrap of Field and Welsh (JRSS B 2007); the
      tails of Hesterberg (The American Statistician 2015).
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
    draws = as_whole(resamples, "resamples", 1)
    rng = np.random.default_rng(as_whole(seed, "seed", 0))
    chosen = rng.integers(len(groups), size=(draws, len(groups)))
    of_samples = [_correlations(x[rows], y[rows]) for rows in _rows(groups, chosen)]
    correlations = np.concatenate(of_samples)
    # Few clusters resample too little of their spread: Hesterberg's tails make up for it.
    g = len(groups)
    t = special.stdtrit(g - 1, (1 + confidence) / 2)
    tail = special.ndtr(-t * np.sqrt(g / (g - 1)))
    if np.isnan(correlations).all():
        raise ValueError(
            "x and y must vary in some bootstrap samples, found one constant in each of "
            f"{draws} resamples; pass more"
        )
    low, high = np.nanquantile(correlations, [tail, 1 - tail])
    return estimate(_correlations(x[None], y[None])[0], low, high, len(groups))


def page_trend(table: ArrayLike) -> Trend:
    """Page's test of a rise from the first column to the last; rows are independent repetitions.

    Args:
      table: (n, k), n ≥ 2 repetitions of k ≥ 3 ordered conditions.

    Returns:
      Trend.

    Raises:
      ValueError: fewer rows or columns, a value that is not finite.

    Example:
      >>> from jaxalign.statistics import page_trend
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


def _correlations(
    x: Float[np.ndarray, "b m"], y: Float[np.ndarray, "b m"]
) -> Float[np.ndarray, " b"]:
    """Spearman's ρ of each row: the correlation of ranks; NaN where one is constant."""
    from scipy.stats import rankdata

    of_x = rankdata(x, axis=1)
    of_y = rankdata(y, axis=1)
    of_x -= of_x.mean(axis=1, keepdims=True)
    of_y -= of_y.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(of_x, axis=1) * np.linalg.norm(of_y, axis=1)
    with np.errstate(invalid="ignore"):
        return np.clip(np.sum(of_x * of_y, axis=1) / norms, -1, 1)


def _groups(clusters: Sequence[Hashable] | None, n: int) -> list[Int[np.ndarray, " size"]]:
    """The rows of each cluster."""
    if clusters is None:
        return list(np.arange(n)[:, None])
    if not hasattr(clusters, "__len__") or isinstance(clusters, str | bytes):
        raise TypeError(f"clusters must be a list of names, found a {type(clusters).__name__}")
    if len(clusters) != n:
        raise ValueError(f"clusters must name one for each of the {n} pairs, found {len(clusters)}")
    members: dict[Hashable, list[int]] = {}
    for row, name in enumerate(clusters):
        # Each NaN would be a cluster of its own, or all of them one.
        if isinstance(name, float | np.floating) and np.isnan(name):
            raise ValueError(
                f"clusters must name one for each pair, found NaN for pair {row}; "
                "drop the pair, or name its cluster"
            )
        members.setdefault(name, []).append(row)
    if len(members) < 2:
        raise ValueError("clusters must be two at least: of one, no interval can be drawn")
    return [np.array(rows) for rows in members.values()]


def _rows(
    groups: Sequence[Int[np.ndarray, " size"]], chosen: Int[np.ndarray, "b g"]
) -> Iterator[Int[np.ndarray, "_ m"]]:
    """The rows of the chosen groups of each sample: of many samples at once where groups are of one
    size, else of one.
    """
    if len({len(rows) for rows in groups}) > 1:
        for numbers in chosen:
            yield np.concatenate([groups[i] for i in numbers])[None]
        return
    table = np.stack(groups)
    for start in range(0, len(chosen), _AT_ONCE):
        block = chosen[start : start + _AT_ONCE]
        yield table[block].reshape(len(block), -1)
