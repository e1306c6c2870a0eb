"""Sums over all pairs of rows in constant memory: row by row, a block of rows at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

# Entries of a kernel that are computed at once: 32 MB of float64.
_AT_ONCE = 1 << 22


def by_rows(function: Callable[..., Any], *rows: Array) -> Any:
    """``function`` of one row of each array, as a loop over blocks of rows; results are stacked.

    The derivative computes each block again, so that it takes no more memory.
    """
    n = len(rows[0])
    step = jax.checkpoint(lambda each: function(*each))
    return jax.lax.map(step, rows, batch_size=min(n, max(1, _AT_ONCE // n)))


def squared_distances(
    row: Float[Array, " d"], x: Float[Array, "n d"], squares: Float[Array, " n"]
) -> Float[Array, " n"]:
    """‖row − x_j‖² for all rows j, ``squares`` being ‖x_j‖²."""
    products = jnp.matmul(x, row, precision=jax.lax.Precision.HIGHEST)
    # Rounding may leave the distance of equal rows below 0.
    return jnp.maximum(jnp.sum(row**2) + squares - 2 * products, 0)
