"""A value with its interval, and the check of the samples that it is made from."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from jaxalign.statistics._checks import as_float64, require_confidence

_LARGEST = 1e150


class Estimate(NamedTuple):
    """A value with its confidence interval; arrays if there are several values.

    Attributes:
      value: the estimate.
      low: lower end of the interval.
      high: upper end of the interval.
      n: the number of independent units that it is over: seeds, networks, data sets.
    """

    value: Any
    low: Any
    high: Any
    n: int

    def map(self, change: Callable[[Any], Any]) -> "Estimate":
        """Apply an increasing function to the value and both ends."""
        return Estimate(change(self.value), change(self.low), change(self.high), self.n)


def estimate(value: Any, low: Any, high: Any, n: int) -> Estimate:
    """An Estimate with scalars as Python floats, so that tables and JSON accept them."""
    return Estimate(_plain(value), _plain(low), _plain(high), n)


def _plain(value: Any) -> Any:
    if np.ndim(value) == 0:
        return float(value)
    return value


def checked_sample(
    values: ArrayLike, name: str, *, at_least: int, confidence: float = 0.95
) -> Float[np.ndarray, "n ..."]:
    """The values as float64; raises ValueError for too few, not finite, or a bad confidence."""
    sample = as_float64(values, name)
    require_confidence(confidence)
    if sample.ndim == 0 or len(sample) < at_least:
        raise ValueError(
            f"{name} must hold at least {at_least} repetitions, found shape {sample.shape}"
        )
    if not np.isfinite(sample).all():
        count = np.count_nonzero(~np.isfinite(sample))
        raise ValueError(f"{name} must be finite, found {count} values that are not")
    if np.abs(sample).max(initial=0) > _LARGEST:
        raise ValueError(
            f"{name} must be at most {_LARGEST:g}, whose squares add up in float64, found "
            f"{np.abs(sample).max():g}; divide {name} by a constant"
        )
    return sample


def binary_unit(*samples: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "..."]:
    """A power of two near the largest distance from the mean, for each column of all samples; 1
    where there is none.

    In this unit squares, and squares of squares, stay in the range of float64, and no digit of a
    sample changes.
    """
    distances = [np.abs(x - x.mean(axis=0)).max(axis=0) for x in samples]
    largest = np.asarray(np.max(distances, axis=0))
    return np.ldexp(1.0, np.where(largest > 0, np.frexp(largest)[1], 0))


def spread(sample: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "..."]:
    """The standard deviation over the first axis, of numbers of any size."""
    unit = binary_unit(sample)
    return ((sample - sample.mean(axis=0)) / unit).std(axis=0, ddof=1) * unit
