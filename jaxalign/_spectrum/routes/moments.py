"""The moments route for arrays at hand: everything the label spectrum needs is in ΦᵀΦ and ΦᵀY (for
wide Φ, in ΦΦᵀ).
"""

from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxalign._core.linalg import eigh, matmul
from jaxalign._spectrum.decomposition import Decomposition, Route
from jaxalign._spectrum.products import Columns, products_of
from jaxalign._spectrum.routes.precision import Center, about, in_float64

RESOLUTION = 4 * 2.0**-26
"""Singular values below this share of σ_1 are noise (4√eps of float64): their squares are lost to
rounding in the Gram matrix.
"""


def decompose(
    features: Float[Array, "n d"],
    targets: Float[Array, "n k"],
    center: Center | None = None,
) -> Decomposition:
    """Φ = U diag(σ) Vᵀ from the eigenvectors of the smaller Gram matrix.

    The squared condition number costs half the digits: float64 resolves 6e-8·σ_1, far below what
    float32 data carry.

    Args:
      features: (n, d), any real dtype; float64 from here on.
      targets: (n, k), likewise.
      center: what features are read about.
    """
    n, d = features.shape
    wide = about(features, center)
    if n < d:
        # ΦΦᵀ = U diag(σ²) Uᵀ, and V = ΦᵀU diag(1/σ).
        sigma, left = singular_vectors(products_of(_rows_of_transpose, (features.T, center)))
        right = over(matmul(wide.T, left), sigma)
        return Decomposition(sigma, matmul(left.T, targets.astype(jnp.float64)), left, right)
    # ΦᵀΦ = V diag(σ²) Vᵀ, UᵀY = diag(1/σ) Vᵀ(ΦᵀY) and U = ΦV diag(1/σ).
    both = products_of(_columns, (features, targets), center)
    sigma, right = singular_vectors(both[:, :d])
    coordinates = over(matmul(both[:, d:].T, right), sigma).T
    return Decomposition(sigma, coordinates, over(matmul(wide, right), sigma), right)


def _columns(rows: tuple[Array, Array], center: Center | None) -> Columns:
    features, targets = rows
    return [about(features, center)], [targets]


def _rows_of_transpose(rows: tuple[Array, Center | None], shared: None) -> Columns:
    """Rows of Φᵀ, which are columns of Φ with what each is read about."""
    columns, center = rows
    return [about(columns.T, center).T], []


def singular_vectors(gram: Float[Array, "d d"]) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """(σ, V), σ descending, of a matrix with the Gram matrix V diag(σ²) Vᵀ."""
    vectors, values = eigh(gram)
    # Rounding may leave eigenvalues below 0.
    return jnp.sqrt(jnp.maximum(values[::-1], 0)), vectors[:, ::-1]


def over(columns: Any, sigma: Any) -> Any:
    """Columns divided by their σ, of jax or numpy arrays. Columns with σ = 0 stay as they are: they
    are noise, which the rank tolerance drops.
    """
    divisor = sigma.__array_namespace__().where(sigma == 0, 1, sigma)
    return columns / divisor[None, :]


ROUTE = Route(in_float64(decompose), float64=True, resolution=RESOLUTION)
