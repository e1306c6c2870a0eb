"""In which precision a run folder keeps arrays, and how often."""

from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import DTypeLike

from jaxalign._core.kinds import as_count, found

DTYPES = ("float16", "bfloat16", "float32")
REMEDY = "choose bfloat16 or float32 for array_dtype (--array-dtype)"


class Storage(NamedTuple):
    """How arrays are kept; numbers are kept as they were measured, all of them.

    Attributes:
      dtype: of floating arrays; None for the one that was measured.
      every: k, to keep those of the first, the k-th, the 2k-th, ... measured row.
    """

    dtype: str | None
    every: int

    def dtype_of(self, measured: np.dtype) -> str:
        """What arrays of a dtype are kept in: integers and booleans stay."""
        if self.dtype is None or not jax.dtypes.issubdtype(measured, np.floating):
            return measured.name
        return self.dtype


def checked_storage(array_dtype: DTypeLike | None, array_every: int) -> Storage:
    """The Storage that was asked for.

    Raises:
      ValueError: another dtype, or ``array_every`` below 1.
      TypeError: ``array_every`` that is not a whole number.
    """
    every = as_count(array_every, "array_every")
    if array_dtype is None:
        return Storage(None, every)
    try:
        name = np.dtype(array_dtype).name
    except (TypeError, ValueError):  # no dtype at all
        name = ""
    if name not in DTYPES:
        raise ValueError(
            f"array_dtype must be {', '.join(DTYPES)} or None, as it was measured, "
            f"found {found(array_dtype)}"
        )
    return Storage(name, every)


def narrowed(values: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """Values in the dtype that they are kept in.

    Raises:
      ValueError: a finite value is beyond it.
    """
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore"):
        kept = values.astype(dtype)
    lost = np.isinf(kept) & np.isfinite(values)
    if lost.any():
        raise ValueError(f"{name} is {values[lost][0]:g}, which is beyond {dtype.name}; {REMEDY}")
    return kept
