"""Loops over blocks of rows: what is computed from rows is in memory for one block at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Int

from jaxalign._core.loops import repeated

BLOCK = 1 << 11


def fold(
    add: Callable[[Any, Any, Bool[Array, " h"]], Any], total: Any, rows: Any, block: int = BLOCK
) -> Any:
    """The total after ``add(total, block, is_new)`` of each block of the rows of some arrays.

    All blocks are of one height, so the last one holds rows again that were in the one before:
    ``is_new`` (h,) says which were not.
    """
    n = _count(rows)
    if n <= block:
        return add(total, rows, jnp.ones(n, bool))

    def step(index: Int[Array, ""], total: Any) -> Any:
        start = jnp.minimum(index * block, n - block)
        is_new = start + jnp.arange(block, dtype=jnp.int32) >= index * block
        return add(total, _rows_from(start, rows, block), is_new)

    return repeated(-(-n // block), step, total)


def mapped(function: Callable[[Any], Any], rows: Any, block: int = BLOCK) -> Any:
    """``function(rows)`` of a function that gives a row for each row, whatever the others are."""
    n = _count(rows)
    if n <= block:
        return function(rows)

    def step(index: Int[Array, ""], result: Any) -> Any:
        start = jnp.minimum(index * block, n - block)
        part = function(_rows_from(start, rows, block))
        return jax.tree.map(
            lambda whole, new: lax.dynamic_update_slice_in_dim(whole, new, start, 0), result, part
        )

    like = jax.eval_shape(function, jax.tree.map(lambda x: x[:block], rows))
    empty = jax.tree.map(lambda x: jnp.zeros((n, *x.shape[1:]), x.dtype), like)
    return repeated(-(-n // block), step, empty)


def _count(rows: Any) -> int:
    return len(jax.tree.leaves(rows)[0])


def _rows_from(start: Int[Array, ""], rows: Any, block: int) -> Any:
    return jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, start, block), rows)
