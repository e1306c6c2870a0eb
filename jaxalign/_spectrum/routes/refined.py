"""The moments route to full accuracy: a second pass over Φ, in the coordinates that the first one
gave.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular
from jaxtyping import Float

from jaxalign._core.linalg import cholesky, matmul, svd
from jaxalign._spectrum.decomposition import Decomposition, Route
from jaxalign._spectrum.products import Columns, products_of
from jaxalign._spectrum.routes import moments
from jaxalign._spectrum.routes.moments import singular_vectors
from jaxalign._spectrum.routes.precision import Center, about, in_float64

RESOLUTION = 2.0**-48
"""Singular values below this share of σ_1 are noise (16 eps of float64)."""


class Finished(NamedTuple):
    """The small problem solved: with W = ΦV diag(1/s) = QR and R diag(s) = L diag(σ) Nᵀ,
    Φ = (QL) diag(σ) (VN)ᵀ.
    """

    singular_values: Float[Array, " d"]  # σ
    coordinates: Float[Array, "d k"]  # (QL)ᵀY
    to_left: Float[Array, "d d"]  # R⁻¹L, so that QL = W R⁻¹L
    to_right: Float[Array, "d d"]  # N


def preconditioner(gram: Float[Array, "d d"]) -> tuple[Float[Array, "d d"], Float[Array, " d"]]:
    """(V, s): eigenvectors of the first pass and its singular values, ``lifted``."""
    sigma, right = singular_vectors(gram)
    return right, lifted(sigma)


def lifted(sigma: Any) -> Any:
    """The first pass's σ, descending, of jax or numpy, those below its resolution raised to it."""
    xp = sigma.__array_namespace__()
    # Features of zeros have no resolution: any scale is right for them.
    least = xp.where(sigma[0] > 0, moments.RESOLUTION * sigma[0], 1)
    return xp.maximum(sigma, least)


def definite(gram: Any, squares: Any) -> Any:
    """A Gram matrix WᵀW, of jax or numpy, plus 4d·eps of the squares that it was summed from.

    Rounding in the sums and in a Cholesky decomposition is below that, so it succeeds; σ changes by
    half as much, relatively.

    Args:
      gram: (d, d) WᵀW.
      squares: (d,) its diagonal, or where a mean was subtracted from the sums, the one before: of
        a column that hardly varies about its mean, rounding is all that is left.
    """
    xp = gram.__array_namespace__()
    info = jnp.finfo(gram.dtype)
    return gram + xp.diag(squares * float(4 * len(gram) * info.eps) + float(info.tiny))


def nonzero(scale: Any, gram: Any) -> Any:
    """(d,) s, of jax or numpy, and 0 for a column of zeros in W, to which ``definite`` adds."""
    xp = gram.__array_namespace__()
    return xp.where(xp.diagonal(gram) <= 0, 0, scale)


def finish(
    gram: Float[Array, "d d"],
    cross: Float[Array, "d k"],
    scale: Float[Array, " d"],
    squares: Float[Array, " d"],
) -> Finished:
    """From WᵀW and WᵀY of W = ΦV diag(1/s); ``squares`` as in ``definite``.

    The columns of W are nearly orthonormal however large the condition number is, so squaring them
    loses nothing. Columns with σ below the first pass's resolution have norm below one, but keep
    the second pass's relative accuracy.
    """
    # WᵀW = RᵀR by Cholesky, so W = QR.
    lower = cholesky(definite(gram, squares))
    scale = nonzero(scale, gram)
    # Φ = QR diag(s) Vᵀ has the singular values of R diag(s) = L diag(σ) Nᵀ.
    left, sigma, right = svd(lower.T * scale[None, :])
    # QᵀY = R⁻ᵀWᵀY, then LᵀQᵀY.
    coordinates = matmul(left.T, solve_triangular(lower, cross, lower=True))
    to_left = solve_triangular(lower, left, lower=True, trans=1)
    return Finished(sigma, coordinates, to_left, right.T)


def decompose(
    features: Float[Array, "n d"],
    targets: Float[Array, "n k"],
    center: Center | None = None,
) -> Decomposition:
    """Φ = U diag(σ) Vᵀ to the accuracy of an SVD in float64, from products of rows only.

    Args:
      features: (n, d), any real dtype; float64 from here on. Wide Φ is replaced by its transpose.
      targets: (n, k), likewise.
      center: what features are read about.
    """
    n, d = features.shape
    if n < d:
        # Φᵀ = V diag(σ) Uᵀ: its right singular vectors are U.
        rows = features if center is None else about(features, center)
        transposed = decompose(rows.T, jnp.zeros((d, 1)))
        coordinates = matmul(transposed.right.T, targets.astype(jnp.float64))
        return Decomposition(
            transposed.singular_values, coordinates, transposed.right, transposed.left
        )
    # First pass: ΦᵀΦ = V diag(s²) Vᵀ to half the digits.
    first = products_of(_columns, (features, targets[:, :0]), (center, None))
    directions, scale = preconditioner(first)
    # Second pass: W = ΦV diag(1/s).
    along = directions / scale[None, :]
    both = products_of(_columns, (features, targets), (center, along))
    gram = both[:, :d]
    small = finish(gram, both[:, d:], scale, jnp.diagonal(gram))
    left = matmul(_rows_along(features, center, along), small.to_left)
    right = matmul(directions, small.to_right)
    return Decomposition(small.singular_values, small.coordinates, left, right)


def _columns(rows: tuple[Array, Array], coordinates: tuple[Center | None, Any]) -> Columns:
    features, targets = rows
    return [_rows_along(features, *coordinates)], [targets]


def _rows_along(
    features: Float[Array, "n d"], center: Center | None, directions: Float[Array, "d d"] | None
) -> Float[Array, "n d"]:
    wide = about(features, center)
    return wide if directions is None else matmul(wide, directions)


ROUTE = Route(in_float64(decompose), float64=True, resolution=RESOLUTION)
