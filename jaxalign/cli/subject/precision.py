"""Whether float32, in which networks compute, holds the numbers of a data set."""

import numpy as np
from jaxtyping import Shaped

MOST_OFFSET = 1000
"""A column so many times its spread away from 0 loses four digits of what its rows differ in."""
_SMALLEST = 1e-15
_LARGEST = 1e15


def require_float32(values: Shaped[np.ndarray, "n ..."], what: str) -> None:
    """Raise unless float32 holds every number, and what the rows of a column differ in.

    Raises:
      ValueError: NaN or Inf; a number that is out of range, or an integer over 2²⁴, and becomes
        another one; a column that is far from 0 for its spread.
    """
    columns = values.reshape(len(values), -1)
    lowest = columns.min(axis=0)
    highest = columns.max(axis=0)
    if not (np.isfinite(lowest).all() and np.isfinite(highest).all()):
        row, column = np.argwhere(~np.isfinite(columns))[0]
        raise ValueError(
            f"{what} must be finite, found {columns[row, column]} in row {row}, column {column} "
            "(counted from 0); drop or correct such rows"
        )
    if values.dtype.kind not in "iuf" or np.can_cast(values.dtype, np.float32):
        return
    low = lowest.astype(np.float64)
    high = highest.astype(np.float64)
    largest = np.maximum(np.abs(low), np.abs(high))
    doubtful = (high > low) & (largest > MOST_OFFSET * (high - low))
    doubtful |= largest > np.finfo(np.float32).max
    if values.dtype.kind in "iu":
        doubtful = largest > 2**24
    for column in np.flatnonzero(doubtful):
        _require_exact(columns[:, column], what, int(column))


def require_square_in_float32(values: Shaped[np.ndarray, "n ..."], what: str) -> None:
    """Raise unless ‖y‖² stays in the range of float32.

    Raises:
      ValueError: it does not; the message names the factor to divide by.
    """
    largest = float(np.abs(values.astype(np.float64)).max())
    if largest and not _SMALLEST < largest < _LARGEST:
        raise ValueError(
            f"{what} are up to {largest:.3g}, whose squares float32 does not hold; "
            f"divide them by {largest:.0e}"
        )


def _require_exact(values: Shaped[np.ndarray, " n"], what: str, column: int) -> None:
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32).astype(np.float64)
    # Integers are compared as integers: float64 rounds those over 2⁵³.
    changed = np.flatnonzero(rounded != values.astype(np.float64))
    if values.dtype.kind in "iu":
        changed = np.array([i for i, v in enumerate(values.tolist()) if int(rounded[i]) != v])
    if changed.size:
        value = values[changed[0]].item()
        raise ValueError(
            f"{what}, column {column} (counted from 0), hold {value!r}, which float32, in which "
            f"networks compute, makes {rounded[changed[0]].item()!r}; subtract what the rows have "
            "in common, scale them, or leave the column out"
        )
