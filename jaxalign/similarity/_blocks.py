"""Sums over all pairs of rows in constant memory: row by row, a block of rows at a time."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

# Entries of a kernel that are computed at once: 32 MB of float64.
AT_ONCE = 1 << 22
# So many places are found one after another faster than by sorting.
_FEW = 400


def by_rows(function: Callable[..., Any], *rows: Array, numbers: int = 0) -> Any:
    """``function`` of one row of each array, as a loop over blocks of rows; results are stacked.

    The derivative computes each block again, so that it takes no more memory.

    Args:
      function: of rows.
      rows: arrays of n rows.
      numbers: how many the function has in memory for a row, if more than n.
    """
    n = len(rows[0])
    step = jax.checkpoint(lambda each: function(*each))
    return jax.lax.map(step, rows, batch_size=min(n, max(1, AT_ONCE // max(n, numbers))))


def first_largest(values: Float[Array, " n"]) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """The largest value, and the first place where it is: 5 times as fast as XLA's top_k of float64
    on a CPU. A lowered argmax is traced again, out of reach of the x64 setting around this call.
    """
    # Fused with what computes them, each use of the values might round them differently.
    values = jax.lax.optimization_barrier(values)
    largest = jnp.max(values)
    places = jnp.arange(len(values))
    # NaN equals nothing: then it is the last place.
    return largest, jnp.min(jnp.where(values == largest, places, len(values) - 1))


def largest_places(values: Float[Array, " n"], k: int) -> Int[Array, " k"]:
    """The places of the k largest values, the largest first; of equal ones the earlier place.

    Values are cut into about √n parts of about √n. For each place only the part that holds the
    largest value is read.
    """
    n = len(values)
    if k > _FEW:
        return jax.lax.top_k(values, k)[1]
    size = math.isqrt(n)
    count = -(-n // size)
    parts = jnp.pad(values, (0, count * size - n), constant_values=-jnp.inf).reshape(count, size)
    inside = jnp.arange(size)

    def take(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
        parts, tops = state
        number = first_largest(tops)[1]
        part = parts[number]
        place = first_largest(part)[1]
        left = jnp.where(inside == place, -jnp.inf, part)
        state = parts.at[number].set(left), tops.at[number].set(jnp.max(left))
        return state, jnp.minimum(number * size + place, n - 1)  # NaN would end in the padding

    return jax.lax.scan(take, (parts, jnp.max(parts, axis=1)), length=k)[1]
