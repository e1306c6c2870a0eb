"""Estimates with intervals."""

from typing import NamedTuple


class Estimate(NamedTuple):
    """A value with its confidence interval.

    Attributes:
      value: the estimate.
      low: lower end of the interval.
      high: upper end.
      n: what it was made of: seeds, runs or pairs.
    """

    value: float
    low: float
    high: float
    n: int
