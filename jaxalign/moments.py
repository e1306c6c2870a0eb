"""The moments route: everything the label spectrum needs is in ΦᵀΦ and ΦᵀY (for wide Φ, in ΦΦᵀ)."""

import jax.numpy as jnp
from jax import Array
from jax.lax import Precision

from jaxalign._decomposition import Decomposition

RESOLUTION = 4 * 2.0**-26
"""Singular values under this share of σ_1 are noise (4√eps of float64): squares of them round away in the Gram matrix."""


def decompose(features: Array, targets: Array) -> Decomposition:
    """Φ = U diag(σ) Vᵀ from the eigenvectors of the smaller Gram matrix: λ = σ², UᵀY = diag(1/σ) Vᵀ(ΦᵀY).

    The squared condition number costs half the digits: float64 resolves 6e-8·σ_1, far below what float32 data carry.

    Args:
      features: (n, d) float64.
      targets: (n, k) float64.
    """
    n, d = features.shape
    if n < d:
        sigma, left = _eigenvectors(jnp.matmul(features, features.T, precision=Precision.HIGHEST))
        coordinates = jnp.matmul(left.T, targets, precision=Precision.HIGHEST)
        right = _divide(jnp.matmul(features.T, left, precision=Precision.HIGHEST), sigma)
        return Decomposition(sigma, coordinates, left, right)
    sigma, right = _eigenvectors(jnp.matmul(features.T, features, precision=Precision.HIGHEST))
    cross = jnp.matmul(features.T, targets, precision=Precision.HIGHEST)
    coordinates = _divide(jnp.matmul(cross.T, right, precision=Precision.HIGHEST), sigma).T
    left = _divide(jnp.matmul(features, right, precision=Precision.HIGHEST), sigma)
    return Decomposition(sigma, coordinates, left, right)


def _eigenvectors(gram: Array) -> tuple[Array, Array]:
    values, vectors = jnp.linalg.eigh(gram)
    return jnp.sqrt(jnp.maximum(values[::-1], 0)), vectors[:, ::-1]


def _divide(columns: Array, sigma: Array) -> Array:
    """Columns over their σ; where σ = 0 the column is left alone (it is noise, which the rank tolerance drops)."""
    return columns / jnp.where(sigma == 0, 1, sigma)
