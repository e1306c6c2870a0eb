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
from jaxalign._core.checks import as_real_floats, require_finite, require_matrix
from jaxalign._core.float64 import exactly, float64_with_derivative
from jaxalign._core.mesh import with_automatic_axes

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
      ValueError: X or Y is no matrix, is empty, holds NaN or infinities (eager calls), or they
        differ in n, or n is below ``least``.
      TypeError: X or Y are no numbers.
    """
    x = as_numbers(with_automatic_axes(x), "x")
    y = as_numbers(with_automatic_axes(y), "y")
    dtype = result_dtype(x, y)

    def run(x: Numbers, y: Numbers) -> Any:
        return in_float64(measure, settings, dtype, *as_pair(x, y, least))

    return exactly(run, x, y)


def result_dtype(*arrays: Numbers) -> np.dtype:
    """float64 where one of the arrays needs it and x64 is on; else float32."""
    wide = np.float64 if any(map(_is_wide, arrays)) else np.float32
    return np.dtype(jax.dtypes.canonicalize_dtype(wide))


def _is_wide(x: Numbers) -> bool:
    return x.dtype == np.float64 or needs_float64(x)


def as_pair(
    x: Numbers, y: Numbers, least: int = 1
) -> tuple[Float[Array, "n p"], Float[Array, "n q"]]:
    """X and Y as matrices of floats with the same n ≥ ``least``."""
    pair = []
    for name, values in (("x", x), ("y", y)):
        matrix = as_real_floats(values, name)
        require_matrix(matrix, name, "d")
        pair.append(matrix)
    rows = [len(matrix) for matrix in pair]
    if rows[0] != rows[1]:
        raise ValueError(
            "x and y must be of the same rows, in the same order, "
            f"found {rows[0]} rows in x and {rows[1]} in y"
        )
    require_rows(rows[0], least)
    for name, matrix in zip(("x", "y"), pair, strict=True):
        require_finite(matrix, name)
    return pair[0], pair[1]


def require_rows(found: int, least: int) -> None:
    """Raise for fewer rows than a measure needs."""
    if found < least:
        raise ValueError(f"x and y must have at least {least} rows for this measure, found {found}")


@partial(jax.jit, static_argnums=(0, 1, 2))
def in_float64(
    measure: Callable[..., Any], settings: tuple, dtype: np.dtype, *arrays: Array
) -> Any:
    """``measure`` of arrays in float64, its results and its derivative in the callers' dtypes."""

    def run(*arrays: Array) -> Any:
        results = measure(*(x.astype(jnp.float64) for x in arrays), *settings)
        return jax.tree.map(lambda result: result.astype(dtype), results)

    return float64_with_derivative(run)(*arrays)


def centred(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """X about its mean; a constant column becomes exactly 0."""
    # About a row first: of a constant, a mean is off by its rounding, but a difference is 0.
    shifted = x - x[:1]
    return shifted - shifted.mean(axis=0, keepdims=True)
