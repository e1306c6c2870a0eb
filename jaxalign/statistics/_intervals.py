"""Intervals for a mean, a median, and any smooth statistic of samples."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from jaxalign.statistics._checks import require_confidence, require_range, require_real
from jaxalign.statistics._estimate import (
    Estimate,
    binary_unit,
    checked_sample,
    estimate,
    spread,
)


class Jackknifed(NamedTuple):
    """A smooth statistic with a jackknife interval.

    Attributes:
      estimate: the statistic with its interval; its n counts the groups.
      p: one-sided p-value of a statistic above 0.
    """

    estimate: Estimate
    p: float


def mean_interval(
    values: ArrayLike, *, confidence: float = 0.95, within: tuple[float, float] | None = None
) -> Estimate:
    """The mean over the first axis, x̄ ± t_{n−1}·s/√n.

    Args:
      values: (n, ...) of n ≥ 2 independent repetitions.
      confidence: of the interval, in (0, 1).
      within: the range of the values, such as (−1, 1) of correlations. Their mean lies in it too,
        so the part of the interval outside is cut off, and the confidence stays.

    Returns:
      Estimate of the mean, its arrays of shape (...); n counts the repetitions.

    Raises:
      ValueError: fewer than two values, a value that is not finite or not in the range, a
        confidence outside (0, 1).

    Example:
      >>> from jaxalign.statistics import mean_interval
      >>> mean_interval([1.0, 2.0, 3.0])
      Estimate(value=2.0, low=-0.48..., high=4.48..., n=3)

    Source: Student's t interval.
    """
    sample = checked_sample(values, "values", at_least=2, confidence=confidence)
    if within is not None:
        require_range(within)
    n = len(sample)
    mean = sample.mean(axis=0)
    standard_error = spread(sample) / np.sqrt(n)
    half = special.stdtrit(n - 1, (1 + confidence) / 2) * standard_error
    low = mean - half
    high = mean + half
    if within is not None:
        # An open range, as (0, inf) is, has no length to take a share of.
        length = within[1] - within[0]
        rounding = 1e-5 * length if np.isfinite(length) else 0.0
        if sample.min() < within[0] - rounding or sample.max() > within[1] + rounding:
            raise ValueError(
                f"values must lie within {within}, found {sample.min():g} to {sample.max():g}"
            )
        low = np.clip(low, *within)
        high = np.clip(high, *within)
    return estimate(mean, low, high, n)


def at_confidence(interval: Estimate, *, freedom: int, confidence: float) -> Estimate:
    """Student's 95 % interval of one value at another confidence: x ± (x − low)·t_f(c)/t_f(0.95).

    Args:
      interval: the value with such an interval, of ``mean_interval`` or ``jackknife``.
      freedom: f, the degrees of freedom of the interval.
      confidence: in (0, 1).

    Returns:
      Estimate of the same value at the other confidence.

    Raises:
      ValueError: a confidence outside (0, 1), fewer than one degree of freedom.

    Example:
      >>> from jaxalign.statistics import at_confidence, mean_interval
      >>> at_confidence(mean_interval([1.0, 2.0, 3.0]), freedom=2, confidence=0.99)
      Estimate(value=2.0, low=-3.73..., high=7.73..., n=3)

    Source: Student's t interval.
    """
    if not isinstance(interval, Estimate):
        raise TypeError(f"interval must be an Estimate, found a {type(interval).__name__}")
    require_confidence(confidence)
    require_real(freedom, "freedom")
    if not freedom >= 1:
        raise ValueError(f"freedom must be 1 at least, found {freedom}")
    wider = special.stdtrit(freedom, (1 + confidence) / 2) / special.stdtrit(freedom, 0.975)
    half = (interval.high - interval.low) / 2 * wider
    return estimate(interval.value, interval.value - half, interval.value + half, interval.n)


def mean_difference(after: ArrayLike, before: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """The difference of the means of two independent samples, x̄ − ȳ ± t_ν·√(s_x²/n + s_y²/m), whose
    spreads may differ.

    Args:
      after: (n, ...) of n ≥ 2 independent repetitions.
      before: (m, ...) of m ≥ 2 others, which are not pairs of the first; ``paired_effect`` is for
        pairs.
      confidence: of the interval, in (0, 1).

    Returns:
      Estimate, with the smaller of n and m.

    Raises:
      ValueError: fewer than two values, a value that is not finite, a confidence outside (0, 1).

    Example:
      >>> from jaxalign.statistics import mean_difference
      >>> mean_difference([4.0, 5.0, 6.0], [1.0, 2.0, 3.0, 2.0])
      Estimate(value=3.0, low=1.0..., high=4.9..., n=3)

    Source: Welch (Biometrika 1947).
    """
    x = checked_sample(after, "after", at_least=2, confidence=confidence)
    y = checked_sample(before, "before", at_least=2, confidence=confidence)
    unit = binary_unit(x, y)
    in_units = [(sample - sample.mean(axis=0)) / unit for sample in (x, y)]
    parts = [sample.var(axis=0, ddof=1) / len(sample) for sample in in_units]
    variance = parts[0] + parts[1]
    # Degrees of freedom by Welch and Satterthwaite; without any spread all are the same.
    weights = parts[0] ** 2 / (len(x) - 1) + parts[1] ** 2 / (len(y) - 1)
    freedom = np.divide(variance**2, weights, out=np.ones_like(variance), where=weights > 0)
    half = special.stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(variance) * unit
    gain = x.mean(axis=0) - y.mean(axis=0)
    return estimate(gain, gain - half, gain + half, min(len(x), len(y)))


def median_interval(values: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """The median over the first axis, between two order statistics; valid for any distribution.

    Args:
      values: (n, ...) of n ≥ 1 independent repetitions.
      confidence: the least confidence of the interval, in (0, 1). If n is too small for it (under 6
        for 0.95), the interval is the range, whose confidence is 1 − 2^{1−n}.

    Returns:
      Estimate of the median, its arrays of shape (...); n counts the repetitions.

    Raises:
      ValueError: no values, a value that is not finite, a confidence outside (0, 1).

    Example:
      >>> from jaxalign.statistics import median_interval
      >>> median_interval([5.0, 1.0, 2.0, 4.0, 3.0, 6.0, 7.0, 8.0])
      Estimate(value=4.5, low=1.0, high=8.0, n=8)

    Source: the binomial interval of order statistics.
    """
    sample = checked_sample(values, "values", at_least=1, confidence=confidence)
    ordered = np.sort(sample, axis=0)
    n = len(ordered)
    # P(at most j of n values lie below the median), j = 0 ... n − 1: binomial with p = 1/2.
    at_most = special.bdtr(np.arange(n), n, 0.5)
    # The interval leaves out as many order statistics at each end as α/2 allows.
    left_out = max(int(np.count_nonzero(at_most <= (1 - confidence) / 2)) - 1, 0)
    return estimate(np.median(ordered, axis=0), ordered[left_out], ordered[n - 1 - left_out], n)


def jackknife(whole: float, without: ArrayLike, *, confidence: float = 0.95) -> Jackknifed:
    """A smooth statistic θ of samples: θ ± t_{g−1}·s, s² = (g−1)/g · Σ_j (θ_j − mean θ)².

    θ_j is the statistic without group j. Unlike in a bootstrap, no sample occurs twice. With more
    dimensions than samples this matters: repeated samples share their label, which a measure of
    alignment cannot tell from structure.

    Args:
      whole: θ of all samples.
      without: (g,) θ without each of g ≥ 2 groups of equal size, drawn at random or one of every
        kind.
      confidence: of the interval.

    Returns:
      Jackknifed: the Estimate, and the p-value of a statistic above 0.

    Raises:
      ValueError: fewer than two groups, a value that is not finite, a confidence outside (0, 1).

    Example:
      >>> from jaxalign.statistics import jackknife
      >>> jackknife(2.0, [2.5, 2.0, 1.5])  # the mean of 1, 2, 3, each left out once
      Jackknifed(estimate=Estimate(value=2.0, low=-0.48..., high=4.48..., n=3), p=0.037...)

    Source: Efron, Stein (Annals of Statistics 1981); Shao, Wu (Annals of Statistics 1989) for
      groups.
    """
    parts = checked_sample(without, "without", at_least=2, confidence=confidence)
    theta = checked_sample([whole], "whole", at_least=1)[0]
    if theta.ndim or parts.ndim != 1:
        raise ValueError(
            "whole must be one number and without (g,) of them, "
            f"found shapes {np.shape(whole)} and {parts.shape}"
        )
    g = len(parts)
    error = (g - 1) / np.sqrt(g) * spread(parts)
    half = special.stdtrit(g - 1, (1 + confidence) / 2) * error
    # Without any spread, θ is exactly known.
    p = float(theta <= 0)
    if error > 0:
        p = special.stdtr(g - 1, -theta / error)
    return Jackknifed(estimate(theta, theta - half, theta + half, g), float(p))
