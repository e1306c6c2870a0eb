"""The moments route for arrays at hand: everything the label spectrum needs is in ΦᵀΦ and ΦᵀY (for wide Φ, in ΦΦᵀ)."""

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
        sigma, left = singular_vectors(_matmul(features, features.T))
        right = over(_matmul(features.T, left), sigma)
        return Decomposition(sigma, _matmul(left.T, targets), left, right)
    sigma, right = singular_vectors(_matmul(features.T, features))
    coordinates = over(_matmul(_matmul(targets.T, features), right), sigma).T
    return Decomposition(sigma, coordinates, over(_matmul(features, right), sigma), right)


def singular_vectors(gram: Array) -> tuple[Array, Array]:
    """(σ, V) of a matrix from its Gram matrix V diag(σ²) Vᵀ, σ descending; eigenvalues rounded under 0 are 0."""
    values, vectors = jnp.linalg.eigh(gram)
    return jnp.sqrt(jnp.maximum(values[::-1], 0)), vectors[:, ::-1]


def over(columns: Array, sigma: Array) -> Array:
    """Columns over their σ; where σ = 0 the column is left alone (it is noise, which the rank tolerance drops)."""
    return columns / jnp.where(sigma == 0, 1, sigma)


def _matmul(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=Precision.HIGHEST)
