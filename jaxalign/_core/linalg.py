"""Linear algebra at full precision that batches well: products, factorizations, and loops in place
of bad batches.
"""

import os
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.lax import Precision

# By default an accelerator may round the factors to TF32 or bfloat16.
matmul = partial(jnp.matmul, precision=Precision.HIGHEST)

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

AT_ONCE = min(8 * CORES, 64)
"""Calls that are independent in a loop's body: XLA's CPU runtime takes another core for each 8
operations that could run.
"""


def looped(function: Callable) -> Callable:
    """``function`` of arrays, of which every ``vmap`` is a ``lax.map``."""
    single = jax.custom_batching.custom_vmap(function)

    @single.def_vmap
    def batched(axis_size, in_batched, *args):
        def one(split):
            own = iter(split)
            return single(
                *(
                    next(own) if is_split else x
                    for x, is_split in zip(args, in_batched, strict=True)
                )
            )

        results = jax.lax.map(
            one, [x for x, is_split in zip(args, in_batched, strict=True) if is_split]
        )
        return results, jax.tree.map(lambda _: True, results)

    return single


def _side_by_side(function: Callable) -> Callable:
    """``function`` of a matrix, of which every ``vmap`` on a CPU is one loop over the whole batch,
    ``AT_ONCE`` calls a turn.

    A batched call runs on one core. Before jax 0.12 it also waits for a share of the thread pool
    that it runs in itself: three in one program of a two-core host wait for ever, and jax issue
    39292 tells of a corrupted heap.
    """

    @jax.custom_batching.custom_vmap
    def of_stack(matrices: Array):
        return lax.scan(
            lambda _, matrix: (None, function(matrix)),
            None,
            matrices,
            unroll=min(AT_ONCE, len(matrices)),
        )[1]

    @of_stack.def_vmap
    def of_stacks(axis_size, in_batched, matrices):
        results = of_stack(matrices.reshape(-1, *matrices.shape[2:]))
        results = jax.tree.map(lambda x: x.reshape(axis_size, -1, *x.shape[1:]), results)
        return results, jax.tree.map(lambda _: True, results)

    def single(matrix):
        return jax.tree.map(lambda x: x[0], of_stack(matrix[None]))

    return partial(lax.platform_dependent, cpu=single, default=function)


eigh = _side_by_side(partial(lax.linalg.eigh, symmetrize_input=False))
svd = _side_by_side(partial(jnp.linalg.svd, full_matrices=False))
cholesky = _side_by_side(partial(lax.linalg.cholesky, symmetrize_input=False))
orthonormal = _side_by_side(partial(jnp.linalg.qr, mode="reduced"))
triangle_of = _side_by_side(partial(jnp.linalg.qr, mode="r"))
