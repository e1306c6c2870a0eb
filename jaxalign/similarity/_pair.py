"""The border where two representations come in, and the float64 program that compares them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers, needs_float64
from jaxalign._core.checks import as_dtype, as_real_floats, require_finite, require_matrix
from jaxalign._core.float64 import exactly, float64_with_derivative, jax_has_float64
from jaxalign._core.kinds import require_known_sizes

Numbers = Array | np.ndarray


def compared(
    measure: Callable[..., Any], x: ArrayLike, y: ArrayLike, *settings: Any, least: int = 2
) -> Any:
    """``measure(x, y, *settings)`` of X (n, d_x) and Y (n, d_y) in float64, in the dtype of both.

    Args:
      measure: a function of the module level, so that it is compiled once.
      x: X.
      y: Y.
      settings: hashable.
      least: how many rows the measure needs.

    Raises:
      ValueError: X or Y is not a matrix, is empty, holds NaN or infinities (eager calls), or they
        differ in n, or n is below ``least``.
      TypeError: X or Y are not numbers.
    """

    def run(x: Numbers, y: Numbers) -> Any:
        return in_float64(measure, settings, *as_pair(x, y, least))

    return in_dtype_of_jax(exactly(run, as_numbers(x, "x"), as_numbers(y, "y")))


def in_dtype_of_jax(result: Array) -> Array:
    """A result of ``exactly``, rounded to float32 where x64 is off."""
    if result.dtype != np.float64 or jax_has_float64():
        return result
    # What float32 does not hold is explained by the measure.
    with np.errstate(over="ignore", under="ignore"):
        return jnp.asarray(np.asarray(result, np.float32))


def precision_of(*arrays: Numbers) -> str:
    """The dtype that the arrays are rounded to: float64 where one of them needs it, also where x64
    is off and results are float32.
    """
    return "float64" if any(map(_is_wide, arrays)) else "float32"


def _is_wide(x: Numbers) -> bool:
    return x.dtype == np.float64 or needs_float64(x)


def as_pair(
    x: Numbers, y: Numbers, least: int = 1
) -> tuple[Float[Array, "n p"], Float[Array, "n q"]]:
    """X and Y as matrices of floats of one dtype, with the same n ≥ ``least``."""
    pair = []
    for name, values in (("x", x), ("y", y)):
        matrix = as_real_floats(values, name)
        require_matrix(matrix, name, "d")
        require_known_sizes(matrix.shape, name)
        pair.append(matrix)
    require_same_rows(pair[0], pair[1], least)
    for name, matrix in zip(("x", "y"), pair, strict=True):
        require_finite(matrix, name)
    dtype = np.promote_types(*(matrix.dtype for matrix in pair))
    return as_dtype(pair[0], dtype), as_dtype(pair[1], dtype)


def require_same_rows(x: Numbers, y: Numbers, least: int) -> None:
    """Raise unless x and y have as many rows, of which the measure needs ``least``."""
    if len(x) != len(y):
        raise ValueError(
            "x and y must be of the same rows, in the same order, "
            f"found {len(x)} rows in x and {len(y)} in y"
        )
    require_rows(len(x), least)


def require_rows(found: int, least: int) -> None:
    """Raise for fewer rows than a measure needs."""
    if found < least:
        raise ValueError(f"x and y must have at least {least} rows for this measure, found {found}")


@partial(jax.jit, static_argnums=(0, 1))
def in_float64(measure: Callable[..., Any], settings: tuple, *arrays: Array) -> Any:
    """``measure`` of arrays of one dtype, in which its results and its derivative are; computed in
    float64, on a TPU in float32.
    """

    def run(*arrays: Array) -> Any:
        return measure(*arrays, *settings)

    return float64_with_derivative(run)(*arrays)
