"""Linear algebra at full precision that batches well: products, factorizations, and loops in place
of bad batches.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.lax import Precision
from jaxtyping import Float

# By default an accelerator may round the factors to TF32 or bfloat16.
matmul = partial(jnp.matmul, precision=Precision.HIGHEST)


def _available_cores() -> int:
    # A container or a batch system may allow fewer cores than the host has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


CORES = _available_cores()

AT_ONCE = min(8 * CORES, 64)
"""Independent calls in the body of one loop: XLA's CPU runtime uses one more core for each 8
operations that could run.
"""


def looped(function: Callable) -> Callable:
    """``function`` of arrays, of which every ``vmap`` is a ``lax.map``."""
    # XLA gathers a batch that is split over devices before any such loop, jax's or one of our own:
    # a jitted vmap of `spectrum` has two all-gathers. Under shard_map there are none.
    return jax.custom_batching.sequential_vmap(function)


def _side_by_side(function: Callable) -> Callable:
    """``function`` of a matrix, of which every ``vmap`` on a CPU is one loop over the whole batch,
    ``AT_ONCE`` calls per iteration.

    A batched call runs on one core. Before jax 0.12 it also waits for a share of the thread pool
    that it runs in itself: three in one program of a two-core host deadlock, and jax issue 39292
    reports a corrupted heap.
    """
    # Not `sequential_vmap`: that makes a loop inside a loop of each further vmap, one call per
    # iteration. Here all batch axes become one, so that the unrolled calls run on several cores.

    @jax.custom_batching.custom_vmap
    def of_stack(matrices: Float[Array, "b n d"]) -> Any:
        def step(carry: None, matrix: Array) -> tuple[None, Any]:
            return carry, function(matrix)

        return lax.scan(step, None, matrices, unroll=min(AT_ONCE, len(matrices)))[1]

    @of_stack.def_vmap
    def of_stacks(axis_size: int, in_batched: list[bool], matrices: Array) -> tuple[Any, Any]:
        results = of_stack(matrices.reshape(-1, *matrices.shape[2:]))
        results = jax.tree.map(lambda x: x.reshape(axis_size, -1, *x.shape[1:]), results)
        return results, jax.tree.map(lambda _: True, results)

    def single(matrix: Float[Array, "n d"]) -> Any:
        return jax.tree.map(lambda x: x[0], of_stack(matrix[None]))

    # The choice is made where the program is lowered, not by the default backend.
    return partial(lax.platform_dependent, cpu=single, default=function)


eigh = _side_by_side(partial(lax.linalg.eigh, symmetrize_input=False))
svd = _side_by_side(partial(jnp.linalg.svd, full_matrices=False))
cholesky = _side_by_side(partial(lax.linalg.cholesky, symmetrize_input=False))
orthonormal = _side_by_side(partial(jnp.linalg.qr, mode="reduced"))
triangle_of = _side_by_side(partial(jnp.linalg.qr, mode="r"))
