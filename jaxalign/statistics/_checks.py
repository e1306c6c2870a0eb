"""Checks of samples and settings. Without jax, which reports that only read results do not load."""

import operator
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxalign._core.confidences import require_within_one

_EXACT = 2.0**53
"""Integers up to here are float64 numbers."""


def as_float64(values: Any, name: str) -> Float[np.ndarray, "..."]:
    """Real numbers of any container as float64.

    Raises:
      TypeError: text, None, a dict, complex numbers.
      ValueError: a ragged list; masked values; integers that differ and are one float64.
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.count_masked(values):
        raise ValueError(
            f"{name} is a masked array with {np.ma.count_masked(values)} masked values; "
            f"drop them by {name}.compressed(), or their rows"
        )
    try:
        sample = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers in a rectangle, found {error}") from error
    is_real = sample.dtype.kind in "biuf" or sample.dtype.name == "bfloat16"
    if sample.dtype == object:
        is_real = all(isinstance(value, Real | Decimal) for value in sample.ravel())
    if not is_real:
        raise TypeError(
            f"{name} must be real numbers, found a {type(values).__name__} of {sample.dtype}"
        )
    result = sample.astype(np.float64)
    if sample.dtype != np.float64 and np.abs(result).max(initial=0) >= _EXACT:
        _require_apart(sample, result, name)
    return result


def _require_apart(sample: np.ndarray, rounded: Float[np.ndarray, "..."], name: str) -> None:
    """Raise where rounding makes different numbers equal: their spread and order would be lost."""
    order = np.argsort(sample, axis=None)
    exact = sample.ravel()[order]
    equal = (np.diff(rounded.ravel()[order]) == 0) & (exact[1:] != exact[:-1])
    if equal.any():
        i = int(np.flatnonzero(equal)[0])
        raise ValueError(
            f"{name} must differ by more than their rounding in float64, found {exact[i]} and "
            f"{exact[i + 1]}; subtract the smallest of {name}"
        )


def require_real(value: Any, name: str) -> None:
    """Raise unless ``value`` is one real number: a boolean or a text is none."""
    is_scalar = isinstance(value, Real) or getattr(value, "shape", None) == ()
    if not is_scalar or isinstance(value, bool | np.bool_ | complex | np.complexfloating):
        raise TypeError(f"{name} must be a number, found {value!r:.60}")


def require_confidence(confidence: Any) -> None:
    """Raise unless it is a number in (0, 1)."""
    require_real(confidence, "confidence")
    require_within_one(confidence)


def as_whole(value: Any, name: str, least: int) -> int:
    """A whole number of at least ``least``."""
    try:
        count = operator.index(value)
    except TypeError:
        count = None
    if count is None or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, found {value!r:.60}")
    if count < least:
        raise ValueError(f"{name} must be at least {least}, found {count}")
    return count


def require_range(within: Any) -> None:
    """Raise unless it is (low, high)."""
    if not isinstance(within, tuple | list) or len(within) != 2:
        raise TypeError(f"within must be (low, high), found {within!r:.60}")
    low, high = within
    for end in within:
        require_real(end, "within")
    if not low < high:
        raise ValueError(f"within must be (low, high) with low < high, found {within}")


def require_intervals(intervals: Any) -> None:
    """Raise unless these are functions of a confidence, one at least."""
    if not isinstance(intervals, Sequence) or not all(map(callable, intervals)):
        raise TypeError(
            "intervals must be a list of functions of a confidence, "
            f"found {intervals!r:.60}; pass [partial(mean_interval, values), ...]"
        )
    if not intervals:
        raise ValueError("intervals must hold one at least, found none")
