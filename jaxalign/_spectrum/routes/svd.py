"""The reference route: a plain thin SVD, against which the others are tested."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxalign._core.linalg import matmul, svd
from jaxalign._spectrum.decomposition import Decomposition, Route

RESOLUTION = 2.0**-52
"""Singular values below this share of σ_1 are noise (eps of float64)."""


def decompose(features: Float[Array, "n d"], targets: Float[Array, "n k"]) -> Decomposition:
    """Φ = U diag(σ) Vᵀ by the platform's SVD.

    Args:
      features: (n, d), any real dtype; float64 from here on.
      targets: (n, k), likewise.
    """
    left, sigma, right = svd(features.astype(jnp.float64))
    coordinates = matmul(left.T, targets.astype(jnp.float64))
    return Decomposition(sigma, coordinates, left, right.T)


ROUTE = Route(decompose, float64=True, resolution=RESOLUTION)
