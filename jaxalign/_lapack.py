"""Decompositions that may be batched: on a CPU, batches of LAPACK's are done side by side, where jax does one after another."""

import os
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

AT_ONCE = min(8 * CORES, 64)
"""Calls that are independent in a loop's body: XLA's CPU runtime takes another core for each 8 operations that could run."""


def _side_by_side(function: Callable) -> Callable:
    """``function`` of a matrix, of which every ``vmap`` on a CPU is one loop over the whole batch, ``AT_ONCE`` calls a turn.

    A batched call runs on one core. Before jax 0.12 it also waits for a share of the thread pool that it runs in itself: three
    in one program of a two-core host wait for ever, and jax issue 39292 tells of a corrupted heap.
    """

    @jax.custom_batching.custom_vmap
    def of_stack(matrices: Array):
        return lax.scan(lambda _, matrix: (None, function(matrix)), None, matrices, unroll=min(AT_ONCE, len(matrices)))[1]

    @of_stack.def_vmap
    def of_stacks(axis_size, in_batched, matrices):
        results = of_stack(matrices.reshape(-1, *matrices.shape[2:]))
        results = jax.tree.map(lambda x: x.reshape(axis_size, -1, *x.shape[1:]), results)
        return results, jax.tree.map(lambda _: True, results)

    single = lambda matrix: jax.tree.map(lambda x: x[0], of_stack(matrix[None]))
    return partial(lax.platform_dependent, cpu=single, default=function)


eigh = _side_by_side(partial(lax.linalg.eigh, symmetrize_input=False))
svd = _side_by_side(partial(jnp.linalg.svd, full_matrices=False))
cholesky = _side_by_side(partial(lax.linalg.cholesky, symmetrize_input=False))
orthonormal = _side_by_side(partial(jnp.linalg.qr, mode="reduced"))
triangle_of = _side_by_side(partial(jnp.linalg.qr, mode="r"))
