"""Linear algebra at full precision that batches well: products and factorizations."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.lax import Precision
from jax.lax.linalg import EighImplementation
from jaxtyping import Float

from jaxalign._core.loops import in_turn_if_few, looped
from jaxalign._core.platform import on_platform

# By default an accelerator may round the factors to TF32 or bfloat16.
matmul = partial(jnp.matmul, precision=Precision.HIGHEST)


Matrix = TypeVar("Matrix", Array, np.ndarray)


def centred(x: Matrix) -> Matrix:
    """X (n, d) of floats about its mean; a constant column becomes exactly 0."""
    # About a row first: a mean far from 0 is off by its rounding, differences of rows are not.
    shifted = x - x[:1]
    return shifted - shifted.mean(axis=0, keepdims=True)


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


def _side_by_side(function: Callable, elsewhere: Callable | None = None) -> Callable:
    """``function`` of a matrix, of which every ``vmap`` on a CPU is one loop over the whole batch,
    ``AT_ONCE`` calls per iteration. On other platforms it is ``elsewhere``, by default the same
    function.

    A batched call runs on one core. Before jax 0.12 it also waits for a share of the thread pool
    that it runs in itself: three in one program of a two-core host deadlock, and jax issue 39292
    reports a corrupted heap.
    """

    def in_a_loop(matrix: Float[Array, "n d"]) -> Any:
        return looped(function, AT_ONCE)(matrix)

    # The choice is made where the program is lowered, not by the default backend.
    return partial(lax.platform_dependent, cpu=in_a_loop, default=elsewhere or function)


def gains_by_stack(count: int, width: int) -> bool:
    """Whether a GPU's eigensolver of stacks takes less time for so many matrices than that of one
    matrix takes for one after another. On an H200 it takes 66 ms for 2 of 785 × 785 and 97 for 64,
    the other one 9 for each.
    """
    return count > _FEW or width < _WIDE


_FEW = 6
_WIDE = 128


def _few(count: int, stack: Array) -> bool:
    return not gains_by_stack(count, stack.shape[-1])


_eigh = partial(lax.linalg.eigh, symmetrize_input=False)
eigh = _side_by_side(_eigh, elsewhere=in_turn_if_few(_eigh, _few))
eigh_on_tpu = partial(
    lax.linalg.eigh, symmetrize_input=False, implementation=EighImplementation.JACOBI
)
"""For float32. The default of wide matrices there is another algorithm, whose parts are traced
again where the program is lowered, out of reach of the x64 setting around the call.
"""
_svd = partial(jnp.linalg.svd, full_matrices=False)
# Jax traces it again where it is lowered for a TPU: with the settings of the program.
svd = partial(on_platform, _side_by_side(_svd), _svd)
cholesky = _side_by_side(partial(lax.linalg.cholesky, symmetrize_input=False))
orthonormal = _side_by_side(partial(jnp.linalg.qr, mode="reduced"))
triangle_of = _side_by_side(partial(jnp.linalg.qr, mode="r"))


def in_row_space(x: Float[Array, "n d"]) -> tuple[Float[Array, "n n"], Float[Array, "n d"]]:
    """(L, R) with X = L R of n ≤ d and orthonormal rows of R: X in coordinates of the space of its
    rows.
    """
    directions = orthonormal(x.T)[0]
    return matmul(x, directions), directions.T
