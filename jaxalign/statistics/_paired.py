"""The effect of a change on pairs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from jaxalign.statistics._estimate import Estimate, checked_sample, spread
from jaxalign.statistics._intervals import mean_interval


class Paired(NamedTuple):
    """The effect of a change on pairs.

    Attributes:
      difference: the mean of after − before, with interval.
      standardized: d_z, the mean difference over the standard deviation of the differences.
      p: p-value of a paired t test, two-sided; 1 if no pair differs.
    """

    difference: Estimate
    standardized: float
    p: float

    @property
    def p_greater(self) -> float:
        """One-sided p-value of a mean difference above 0."""
        # The t distribution is symmetric: half of the two-sided p-value lies in each tail.
        return self.p / 2 if self.difference.value > 0 else 1 - self.p / 2

    @property
    def p_less(self) -> float:
        """One-sided p-value of a mean difference below 0."""
        return self.p / 2 if self.difference.value < 0 else 1 - self.p / 2


def paired_effect(after: ArrayLike, before: ArrayLike, *, confidence: float = 0.95) -> Paired:
    """What a change did to pairs: mean difference, standardized difference, paired t test.

    Args:
      after: (n,) values with the change.
      before: (n,) values of the same pairs without it.
      confidence: of the interval.

    Returns:
      Paired.

    Raises:
      ValueError: different lengths, fewer than two pairs, a value that is not finite.

    Example:
      >>> from jaxalign.statistics import paired_effect
      >>> effect = paired_effect([2.0, 3.5, 4.0], [1.0, 2.0, 3.0])
      >>> round(effect.difference.value, 3), round(effect.standardized, 2), round(effect.p, 3)
      (1.167, 4.04, 0.02)
      >>> round(effect.p_greater, 3)
      0.01

    Source: Student's paired t test; d_z of Lakens (Frontiers in Psychology 2013).
    """
    x = checked_sample(after, "after", at_least=2, confidence=confidence)
    y = checked_sample(before, "before", at_least=2, confidence=confidence)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(
            f"after and before must be of one length, (n,), found shapes {x.shape} and {y.shape}"
        )
    gain = x - y
    deviation = spread(gain)
    if deviation > 0:
        size = gain.mean() / deviation
        # t = d_z·√n, of n − 1 degrees of freedom.
        p = 2 * special.stdtr(len(gain) - 1, -abs(size) * np.sqrt(len(gain)))
    elif gain[0] == 0:
        size = 0.0
        p = 1.0
    else:
        size = np.inf * np.sign(gain[0])
        p = 0.0
    return Paired(mean_interval(gain, confidence=confidence), float(size), float(p))
