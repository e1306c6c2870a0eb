"""Intervals of several values, corrected so that what they say of signs holds for all together."""

from collections.abc import Sequence
from typing import Protocol

from jaxalign.statistics._checks import require_confidence, require_intervals, require_real
from jaxalign.statistics._estimate import Estimate


class Interval(Protocol):
    """A value with its interval at any confidence, as ``partial(mean_interval, values)`` is."""

    def __call__(self, *, confidence: float) -> Estimate: ...


def simultaneous(intervals: Sequence[Interval], *, confidence: float = 0.95) -> list[Estimate]:
    """Intervals of m values, each corrected for the others as Holm corrects p-values.

    With r values undecided, all r have an interval of confidence 1 − (1 − c)/r. Those without 0 are
    decided and keep it; the others are looked at again with the smaller r, until none is decided.
    An interval leaves out 0 if and only if Holm's adjusted p-value is under 1 − c. So with
    confidence c no sign is wrong, where Holm's directions are valid, as of t tests.

    Args:
      intervals: (m,) functions of a confidence, such as ``partial(mean_interval, values)``.
      confidence: c, that all signs are right.

    Returns:
      [Estimate, ...] of the m values, in their order.

    Raises:
      ValueError: no intervals, or a confidence outside (0, 1).

    Example:
      >>> from functools import partial
      >>> from jaxalign.statistics import mean_interval, simultaneous
      >>> samples = [1.0, 1.2, 0.9], [0.1, 0.0, -0.1]
      >>> clear, unclear = simultaneous([partial(mean_interval, sample) for sample in samples])
      >>> clear.low > 0, unclear.low < 0 < unclear.high
      (True, True)

    Source: Holm (Scandinavian Journal of Statistics 1979).
    """
    require_intervals(intervals)
    require_confidence(confidence)
    decided: dict[int, Estimate] = {}
    while True:
        left = [i for i in range(len(intervals)) if i not in decided]
        if not left:
            break
        now = {i: intervals[i](confidence=1 - (1 - confidence) / len(left)) for i in left}
        clear = {i: one for i, one in now.items() if one.low > 0 or one.high < 0}
        if not clear:
            decided |= now
            break
        decided |= clear
    return [decided[i] for i in range(len(intervals))]


def least(intervals: Sequence[Interval], *, confidence: float) -> Estimate:
    """The interval of the least of k values: it is above 0 where all of them are.

    Every value's low end is one of the least value's as well. The least of the k high ends may be
    low by chance, so these are corrected for k (Bonferroni).

    Args:
      intervals: (k,) functions of a confidence.
      confidence: of the interval, in (0, 1).

    Returns:
      Estimate of the least value.

    Raises:
      ValueError: no intervals.

    Example:
      >>> from functools import partial
      >>> from jaxalign.statistics import least, mean_interval
      >>> samples = [1.0, 1.2, 0.9], [0.3, 0.5, 0.1]
      >>> of_both = [partial(mean_interval, sample) for sample in samples]
      >>> round(least(of_both, confidence=0.95).value, 6)
      0.3

    Source: the intersection-union test of Berger (Technometrics 1982) for the low end.
    """
    require_intervals(intervals)
    require_confidence(confidence)
    each = [interval(confidence=confidence) for interval in intervals]
    corrected = 1 - (1 - confidence) / len(intervals)
    wide = [interval(confidence=corrected) for interval in intervals]
    return Estimate(
        min(one.value for one in each),
        min(one.low for one in each),
        min(one.high for one in wide),
        min(one.n for one in each),
    )


def margin(interval: Interval, tolerance: float, *, confidence: float) -> Estimate:
    """The tolerance less the size of a difference, ε − |δ|, with the interval that δ's implies.

    It is above 0 where the whole interval of δ is within ±ε, and below where none of it is.

    Args:
      interval: δ as a function of a confidence.
      tolerance: ε ≥ 0.
      confidence: of the interval, in (0, 1).

    Returns:
      Estimate of ε − |δ|.

    Raises:
      ValueError: a negative tolerance.

    Example:
      >>> from functools import partial
      >>> from jaxalign.statistics import margin, mean_interval
      >>> within = margin(partial(mean_interval, [0.01, 0.03]), 0.5, confidence=0.95)
      >>> round(within.value, 6), round(within.low, 2), within.high
      (0.48, 0.35, 0.5)

    Source: equivalence tests, Schuirmann (Journal of Pharmacokinetics 1987), as intervals.
    """
    require_intervals([interval])
    require_confidence(confidence)
    require_real(tolerance, "tolerance")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be 0 or more, found {tolerance}")
    difference = interval(confidence=confidence)
    nearest = max(difference.low, -difference.high, 0.0)
    farthest = max(abs(difference.low), abs(difference.high))
    return Estimate(
        tolerance - abs(difference.value), tolerance - farthest, tolerance - nearest, difference.n
    )
