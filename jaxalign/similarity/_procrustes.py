"""Procrustes distances: how far two representations are apart after the best rotation."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.linalg import centred, in_row_space, matmul, svd
from jaxalign.similarity._estimators import explained, held
from jaxalign.similarity._pair_moments import PairMoments
from jaxalign.similarity._reading import Central, compared_or_read


def procrustes_distance(x: ArrayLike | PairMoments, y: ArrayLike | None = None) -> Float[Array, ""]:
    """min_Q ‖XQ − Y‖² over rotations Q, which is ‖X‖² + ‖Y‖² − 2‖XᵀY‖_*, for X and Y about their
    means: squared, and not scaled.

    Rotations and shifts change nothing; a factor does. Of X and Y with p ≠ q columns, the narrower
    one is filled up with zeros. Chance depends on the spectra: see
    ``permutation_null`` and its ``lower_p_values``.

    Args:
      x: (n, p) of one representation, or PairMoments, alone.
      y: (n, q) of the other one, of the same rows.

    Returns:
      () ≥ 0 in the features' dtype. Computed in float64, to some 1e-16·(‖X‖² + ‖Y‖²).

    Raises:
      ValueError: x or y no matrix, empty, of one row, not finite (eager calls), of different n; y
        beside pair moments; pair moments summed over different pivots by psum (eager calls).
      TypeError: x or y no numbers.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> x = np.array([[3.0, 0.0], [0.0, 1.0], [-3.0, -1.0]])
      >>> similarity.procrustes_distance(x, 2 * x[:, ::-1]).item()
      20.0...

    Source: Schönemann (Psychometrika 1966); Williams et al. (NeurIPS 2021), Eq. 3, squared.
    """
    value = compared_or_read(_distance_of_arrays, _distance_of_moments, x, y)
    value = explained(value, "procrustes_distance")
    return held(value, "procrustes_distance", partial(angular_procrustes_distance, x, y))


def angular_procrustes_distance(
    x: ArrayLike | PairMoments, y: ArrayLike | None = None
) -> Float[Array, ""]:
    """The angle θ, cos θ = ‖XᵀY‖_*/(‖X‖ ‖Y‖), between X and Y about their means after the best
    rotation: a metric.

    Rotations, shifts and factors change nothing. Chance is below π/2, the more so for few rows: see
    ``permutation_null`` and its ``lower_p_values``.

    Args:
      x: as in ``procrustes_distance``.
      y: as in ``procrustes_distance``.

    Returns:
      () from 0 to π/2, in the features' dtype; angles below 3e-8 are rounding. NaN where x or y is
      constant (with a SimilarityWarning in eager calls).

    Raises:
      as ``procrustes_distance``.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> x = np.array([[3.0, 0.0], [0.0, 1.0], [-3.0, -1.0]])
      >>> similarity.angular_procrustes_distance(x, x[:, :1]).round(3).item()
      0.27...

    Source: Williams et al. (NeurIPS 2021), Eq. 5.
    """
    value = compared_or_read(_angle_of_arrays, _angle_of_moments, x, y)
    return explained(value, "angular_procrustes_distance")


def bures_similarity(x: ArrayLike | PairMoments, y: ArrayLike | None = None) -> Float[Array, ""]:
    """‖XᵀY‖_*/(‖X‖ ‖Y‖) for X and Y about their means: the normalized Bures similarity of XXᵀ and
    YYᵀ, and the cosine of ``angular_procrustes_distance``. By chance it is
    above 0, the more so for few rows: see ``permutation_null``.

    Args:
      x: as in ``procrustes_distance``.
      y: as in ``procrustes_distance``.

    Returns:
      () from 0 to 1, in the features' dtype; NaN where x or y is constant (with a SimilarityWarning
      in eager calls).

    Raises:
      as ``procrustes_distance``.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> x = np.array([[3.0, 0.0], [0.0, 1.0], [-3.0, -1.0]])
      >>> similarity.bures_similarity(x, 5 * x[:, ::-1]).round(6).item()
      1.0

    Source: Tang et al. (2020), Eq. 6; Harvey, Larsen, Williams (UniReps 2023).
    """
    value = compared_or_read(_cosine_of_arrays, _cosine_of_moments, x, y)
    return explained(value, "bures_similarity")


class _Sizes(NamedTuple):
    """‖X‖², ‖Y‖² and ‖XᵀY‖_*."""

    x: Float[Array, ""]
    y: Float[Array, ""]
    both: Float[Array, ""]


def _of_arrays(x: Float[Array, "n p"], y: Float[Array, "n q"]) -> _Sizes:
    x, y = centred(x), centred(y)
    return _Sizes(jnp.sum(x**2), jnp.sum(y**2), nuclear_norm(x, y))


def _of_moments(central: Central) -> _Sizes:
    cross = central.products[: central.p, central.p :]
    return _Sizes(central.traces[0], central.traces[1], jnp.sum(svd(cross)[1]))


def _distance(sizes: _Sizes) -> Array:
    # Rounding may leave the distance of equal shapes below 0.
    return jnp.maximum(sizes.x + sizes.y - 2 * sizes.both, 0)


def _cosine(sizes: _Sizes) -> Array:
    is_defined = (sizes.x > 0) & (sizes.y > 0)
    x, y = (jnp.sqrt(jnp.where(is_defined, size, 1)) for size in (sizes.x, sizes.y))
    return jnp.where(is_defined, sizes.both / x / y, jnp.nan)


def _angle(sizes: _Sizes) -> Array:
    cosine = _cosine(sizes)
    # Of unit vectors u and v, 2 atan2(‖u − v‖, ‖u + v‖): arccos loses half the digits near 0. The
    # inner `where` keeps the root of 0 out of derivatives.
    apart = 1 - cosine
    is_apart = ~(apart <= 0)
    difference = jnp.sqrt(jnp.where(is_apart, apart, 1))
    return 2 * jnp.where(is_apart, jnp.arctan2(difference, jnp.sqrt(1 + cosine)), 0)


def _distance_of_arrays(x: Array, y: Array) -> Array:
    return _distance(_of_arrays(x, y))


def _distance_of_moments(central: Central) -> Array:
    return _distance(_of_moments(central))


def _cosine_of_arrays(x: Array, y: Array) -> Array:
    return _cosine(_of_arrays(x, y))


def _cosine_of_moments(central: Central) -> Array:
    return _cosine(_of_moments(central))


def _angle_of_arrays(x: Array, y: Array) -> Array:
    return _angle(_of_arrays(x, y))


def _angle_of_moments(central: Central) -> Array:
    return _angle(_of_moments(central))


@jax.custom_vjp
def nuclear_norm(x: Float[Array, "n p"], y: Float[Array, "n q"]) -> Float[Array, ""]:
    """‖XᵀY‖_*, the sum of the singular values."""
    left, right = (_tall(part)[0] for part in (x, y))
    return jnp.sum(svd(matmul(left.T, right))[1])


def _forward(x: Array, y: Array) -> tuple[Array, tuple[Array, Array]]:
    return nuclear_norm(x, y), (x, y)


def _backward(pair: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    # Of XᵀY = U diag(σ) Vᵀ the derivative is UVᵀ, and U and V of the columns that `_tall` leaves
    # are rotated into those of X and Y. Directions with σ = 0 have none: the middle of their
    # subgradients is 0.
    (left, to_x), (right, to_y) = (_tall(part) for part in pair)
    u, sigma, v = svd(matmul(left.T, right))
    resolution = sigma[0] * max(*left.shape, *right.shape) * float(jnp.finfo(sigma.dtype).eps)
    polar = matmul(jnp.where(sigma > resolution, u, 0), v) * cotangent
    return matmul(matmul(right, polar.T), to_x), matmul(matmul(left, polar), to_y)


nuclear_norm.defvjp(_forward, _backward)


def _tall(x: Float[Array, "n p"]) -> tuple[Float[Array, "n r"], Float[Array, "r p"]]:
    """(L, R) with X = L R, orthonormal rows of R and r = min(n, p): what is left of a wide X is
    as small as its rows.
    """
    n, p = x.shape
    if p <= n:
        return x, jnp.eye(p, dtype=x.dtype)
    return in_row_space(x)
