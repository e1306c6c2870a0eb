"""Decompositions that may be batched: jax before 0.12 can deadlock in LAPACK calls on a CPU when several are batched."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jaxalign._looped import looped

_BATCHES_ARE_SAFE = jax.__version_info__ >= (0, 12)


def _one_by_one(function: Callable) -> Callable:
    """``function`` of one array, whose batches on a CPU are a loop where batched calls are not safe.

    There, a batched call waits for a share of the thread pool that it runs in itself: three in one program of a two-core host
    wait for ever, and jax issue 39292 tells of a corrupted heap.
    """
    return function if _BATCHES_ARE_SAFE else partial(jax.lax.platform_dependent, cpu=looped(function), default=function)


eigh = _one_by_one(partial(jax.lax.linalg.eigh, symmetrize_input=False))
svd = _one_by_one(partial(jnp.linalg.svd, full_matrices=False))
cholesky = _one_by_one(partial(jax.lax.linalg.cholesky, symmetrize_input=False))
orthonormal = _one_by_one(partial(jnp.linalg.qr, mode="reduced"))
triangle_of = _one_by_one(partial(jnp.linalg.qr, mode="r"))
