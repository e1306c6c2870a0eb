"""How many nearest neighbours two representations share, in blocks of rows."""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from jaxalign._core.arrays import as_numbers
from jaxalign._core.derivatives import without_derivative
from jaxalign._core.kinds import as_count
from jaxalign._core.linalg import matmul
from jaxalign.similarity._blocks import by_rows, largest_places
from jaxalign.similarity._estimators import explained
from jaxalign.similarity._pair import compared


def mutual_knn(x: ArrayLike, y: ArrayLike, *, k: int = 10) -> Float[Array, ""]:
    """The mean share of a row's k nearest neighbours in X that are among its k nearest in Y.

    Nearest is the largest dot product x_iᵀx_j, of rows as they are: normalize them
    (``unit_rows``) for the cosine. A row is not its own neighbour; of equal products the earlier
    row is nearer. Rotations change nothing, shifts do. By chance it is k/(n − 1), exactly
    (``mutual_knn_chance``). It has no derivative.

    Args:
      x: (n, p) of one representation.
      y: (n, q) of the other one, of the same rows.
      k: number of neighbours, below n.

    Returns:
      () from 0 to 1, in the features' dtype.

    Raises:
      ValueError: x or y no matrix, empty, not finite (eager calls), of different n; k < 1 or
        k ≥ n.
      TypeError: x or y no numbers; k no whole number; when differentiated.

    Example:
      >>> from jaxalign import similarity
      >>> x = [[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [0.1, 2.0]]
      >>> similarity.mutual_knn(x, x, k=1).item()
      1.0

    Source: Huh, Cheung, Wang, Isola (ICML 2024), Section 2.
    """
    return _compared(_mutual_knn, x, y, k)


def cknna(x: ArrayLike, y: ArrayLike, *, k: int = 10) -> Float[Array, ""]:
    """CKA of the kernels XXᵀ and YYᵀ where entry (i, j) counts only if j is among the k nearest
    neighbours of i in both, by the unbiased HSIC.

    Nearest as in ``mutual_knn``; dot products are not centred before. For k = n − 1 it is the
    debiased ``cka`` of XXᵀ and YYᵀ. By chance it is not 0: see
    ``permutation_null``. It has no derivative.

    Args:
      x: as in ``mutual_knn``, n ≥ 4.
      y: as in ``mutual_knn``.
      k: as in ``mutual_knn``.

    Returns:
      () in the features' dtype, never clipped; NaN where the HSIC of one side with itself is not
      positive (with a SimilarityWarning in eager calls).

    Raises:
      as ``mutual_knn``; n < 4.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> x = np.random.default_rng(0).standard_normal((20, 3))
      >>> similarity.cknna(x, -2 * x, k=5).round(6).item()
      1.0

    Source: Huh, Cheung, Wang, Isola (ICML 2024), Appendix A, as their program computes it.
    """
    return explained(_compared(_cknna, x, y, k, least=4), "cknna", "unbiased")


def _compared(measure, x: ArrayLike, y: ArrayLike, k: int, least: int = 2) -> Array:
    count = as_count(k, "k")
    x = as_numbers(x, "x")
    if x.ndim == 2 and 0 < len(x) <= count:
        raise ValueError(f"k must be below the number of rows, found k = {count} of {len(x)} rows")
    return compared(measure, x, y, count, least=least)


def nearest(x: Float[Array, "n d"], k: int) -> Int[Array, "n k"]:
    """The k largest dot products of each row with the others."""
    others = jnp.arange(len(x))

    def of_row(i: Array, row: Array) -> Int[Array, " k"]:
        return largest_places(jnp.where(others == i, -jnp.inf, matmul(x, row)), k)

    return by_rows(of_row, others, x)


_refused = partial(
    without_derivative,
    reason="neighbours have no derivative; differentiate linear_cka or rbf_cka",
    static=(2,),
)


@_refused
def _mutual_knn(x: Array, y: Array, k: int) -> Array:
    shared = _shared(nearest(x, k), nearest(y, k))
    # NaN has an order too, so it is carried on.
    unknown = 0 * (jnp.sum(x) + jnp.sum(y))
    return jnp.mean(shared.astype(x.dtype)) + unknown


@_refused
def _cknna(x: Array, y: Array, k: int) -> Array:
    return cknna_of(neighbourhoods(x, k), neighbourhoods(y, k))


class Neighbourhoods(NamedTuple):
    """What one representation brings to ``cknna``.

    Attributes:
      rows: (n, d).
      nearest: (n, k) the neighbours of each.
      own: () the HSIC of XXᵀ with itself, with all entries 0 but those of neighbours.
    """

    rows: Float[Array, "n d"]
    nearest: Int[Array, "n k"]
    own: Float[Array, ""]


def neighbourhoods(x: Float[Array, "n d"], k: int) -> Neighbourhoods:
    """Those of the k nearest of each row."""
    found = nearest(x, k)
    return Neighbourhoods(x, found, _masked_hsic(x, x, found, jnp.ones(found.shape, bool)))


def cknna_of(x: Neighbourhoods, y: Neighbourhoods) -> Float[Array, ""]:
    """``cknna`` of two representations."""
    both = _masked_hsic(x.rows, y.rows, x.nearest, _shared(x.nearest, y.nearest))
    is_defined = (x.own > 0) & (y.own > 0)
    scale = jnp.sqrt(jnp.where(is_defined, x.own, 1)) * jnp.sqrt(jnp.where(is_defined, y.own, 1))
    return jnp.where(is_defined, both / scale, jnp.nan)


def _shared(x: Int[Array, "n k"], y: Int[Array, "n k"]) -> Bool[Array, "n k"]:
    """Which neighbours of each row in x are neighbours in y too."""

    def of_row(own: Array, others: Array) -> Bool[Array, " k"]:
        return jnp.any(own[:, None] == others[None, :], axis=1)

    return by_rows(of_row, x, y)


def _masked_hsic(
    x: Float[Array, "n p"],
    y: Float[Array, "n q"],
    neighbours: Int[Array, "n k"],
    counts: Bool[Array, "n k"],
) -> Float[Array, ""]:
    """The unbiased HSIC of XXᵀ and YYᵀ with all entries 0 but those of neighbours that count."""
    n = len(x)

    def of_row(i: Array, near: Array, count: Array) -> tuple[Array, Array, Array]:
        own = jnp.where(count, matmul(x[near], x[i]), 0)
        other = jnp.where(count, matmul(y[near], y[i]), 0)
        # Entry (j, i) of the other kernel counts if i is a neighbour of j that counts.
        returns = jnp.any((neighbours[near] == i) & counts[near], axis=1)
        return own, other, jnp.sum(jnp.where(returns, own * other, 0))

    numbers = jnp.arange(n, dtype=neighbours.dtype)
    copied = neighbours.shape[1] * max(x.shape[1], y.shape[1])
    own, other, crossed = by_rows(of_row, numbers, neighbours, counts, numbers=copied)
    # Σ_ij k_ij l_ji, Σk Σl and Σ_ijm k_ij l_jm = Σ_j (column sum of K)·(row sum of L).
    columns = jnp.zeros(n, x.dtype).at[neighbours].add(own)
    of_sums = jnp.sum(own) * jnp.sum(other) / ((n - 1) * (n - 2))
    through = 2 * jnp.sum(columns * jnp.sum(other, axis=1)) / (n - 2)
    return (jnp.sum(crossed) + of_sums - through) / (n * (n - 3))
