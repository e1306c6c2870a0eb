"""Label Alignment Regularization in numbers: its loss, and its minimizer in closed form."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from jaxalign._core.derivatives import without_derivative
from jaxalign._core.float64 import float64_inside
from jaxalign._core.linalg import eigh, eigh_on_tpu, in_row_space, matmul
from jaxalign._core.platform import on_platform
from jaxalign._spectrum.products import products
from jaxalign._spectrum.routes.table import refuse_float64


class _Algebra(NamedTuple):
    """Products of rows and the eigensolver, in the dtype that a platform computes in."""

    dtype: DTypeLike
    products: Callable[..., Array]
    eigh: Callable[[Array], Any]


@partial(jax.jit, static_argnums=(0, 1))
def loss_of(
    rank: int, unlabelled_rank: int, strength: Array, w: Array, phi: Array, y: Array, other: Array
) -> Float[Array, ""]:
    """The loss of the weights."""
    residual = matmul(phi, w) - y
    removed = _penalty(phi, w, rank)
    added = _penalty(other, w, unlabelled_rank)
    return jnp.sum(residual**2) + strength * added - removed


@partial(jax.jit, static_argnums=(0, 1))
def weights_of(
    rank: int, unlabelled_rank: int, strength: Array, phi: Array, y: Array, other: Array
) -> Float[Array, "d c"]:
    """The weights of the least loss."""
    are_few = len(phi) + len(other) < phi.shape[1]
    run = partial(_minimizer_of_few_rows if are_few else _minimizer, rank, unlabelled_rank)
    return _by_platform(run, _OF_WEIGHTS, strength, phi, y, other)


def _minimizer_of_few_rows(
    rank: int,
    unlabelled_rank: int,
    algebra: _Algebra,
    strength: Array,
    phi: Array,
    y: Array,
    other: Array,
) -> Float[Array, "d c"]:
    """In the space of all rows, outside of which w is 0."""
    coordinates, directions = in_row_space(jnp.concatenate([phi, other]).astype(algebra.dtype))
    phi, other = jnp.split(coordinates, [len(phi)])
    weights = _minimizer(rank, unlabelled_rank, algebra, strength, phi, y, other)
    return matmul(directions.T, weights)


def _minimizer(
    rank: int,
    unlabelled_rank: int,
    algebra: _Algebra,
    strength: Array,
    phi: Array,
    y: Array,
    other: Array,
) -> Float[Array, "d c"]:
    dtype, products, eigh = algebra
    d = phi.shape[1]
    both = products([phi], [y])
    gram = both[:, :d]
    # Setting the loss's gradient to 0 gives M w = Φᵀy with
    # M = ΦᵀΦ − Σ_{i>k} σ_i² v_i v_iᵀ + λ Σ_{i>k̃} σ̃_i² ṽ_i ṽ_iᵀ.
    added = strength.astype(dtype) * _without_largest(eigh, products([other]), unlabelled_rank)
    vectors, values = eigh(gram - _without_largest(eigh, gram, rank) + added)
    # The pseudo-inverse of M: eigenvalues of rounding get weight 0.
    is_nonzero = values > values[-1] * d * jnp.finfo(values.dtype).eps
    along = matmul(vectors.T, both[:, d:]) / jnp.where(is_nonzero, values, 1)[:, None]
    return matmul(vectors, jnp.where(is_nonzero[:, None], along, 0))


def _penalty(
    rows: Float[Array, "n d"], weights: Float[Array, "d c"], rank: int
) -> Float[Array, ""]:
    """Σ_{i>k} σ_i²(v_iᵀw)² of rows X = UΣVᵀ."""
    n, d = rows.shape
    if n < d:
        # v_iᵀw σ_i = u_iᵀ(Xw).
        left = _by_platform(partial(_weakest, rank), _OF_ROWS, rows)
        return jnp.sum(matmul(left.T, matmul(rows, weights)) ** 2)
    tail = _by_platform(partial(_tail, rank), _OF_ROWS, rows)
    return jnp.sum(weights * matmul(tail, weights))


def _weakest(rank: int, algebra: _Algebra, rows: Float[Array, "n d"]) -> Float[Array, "n rest"]:
    """The left singular vectors but for the first k."""
    vectors, _ = algebra.eigh(algebra.products([rows.T]))  # ascending
    return vectors[:, : max(len(rows) - rank, 0)]


def _tail(rank: int, algebra: _Algebra, rows: Float[Array, "n d"]) -> Float[Array, "d d"]:
    """Σ_{i>k} σ_i² v_i v_iᵀ."""
    return _without_largest(algebra.eigh, algebra.products([rows]), rank)


_OF_WEIGHTS = "label_alignment_weights has no derivative; differentiate label_alignment_loss"
_OF_ROWS = (
    "label_alignment_loss has a derivative with respect to weights only; "
    "pass jax.lax.stop_gradient(features), and likewise unlabelled"
)


def _by_platform(run: Callable[..., Array], reason: str, *arrays: Array) -> Array:
    """``run`` in float64; on a TPU, which has none, in float32. ``reason`` is why it has no
    derivative.
    """
    dtype = arrays[-1].dtype

    def in_float64(*arrays: Array) -> Array:
        return run(_Algebra(np.float64, products, eigh), *arrays).astype(dtype)

    usual = float64_inside(in_float64)
    if dtype == jnp.float64:
        on_tpu = refuse_float64
    else:
        on_tpu = partial(run, _Algebra(dtype, _products_in_own_dtype, eigh_on_tpu))
    return without_derivative(partial(on_platform, usual, on_tpu), reason)(*arrays)


def _products_in_own_dtype(left: Sequence[Array], right: Sequence[Array] = ()) -> Array:
    columns = jnp.concatenate([*left, *right], axis=1)
    return matmul(jnp.concatenate(left, axis=1).T, columns)


def _without_largest(eigh: Callable, gram: Float[Array, "d d"], rank: int) -> Float[Array, "d d"]:
    """A Gram matrix without its ``rank`` largest eigenvalues."""
    vectors, values = eigh(gram)  # ascending
    count = max(len(gram) - rank, 0)
    return matmul(vectors[:, :count] * values[None, :count], vectors[:, :count].T)
