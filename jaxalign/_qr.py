"""The triangular route: an orthogonal reduction of [Φ Y] in the features' own dtype; no squares, and no float64 needed."""

import jax.numpy as jnp
from jax import Array

from jaxalign._decomposition import Decomposition
from jaxalign._gram import over
from jaxalign._lapack import svd, triangle_of
from jaxalign._matmul import matmul

FLOAT64 = False
RESOLUTION = 0.0
"""Orthogonal throughout: it resolves eps·σ_1 of its dtype, which the rank tolerance holds already."""


def factor(rows: Array) -> Array:
    """Upper triangular R (w, w) of rows = QR; fewer rows than columns count as having rows of zeros under them."""
    n, width = rows.shape
    padded = rows if n >= width else jnp.concatenate([rows, jnp.zeros((width - n, width), rows.dtype)])
    return triangle_of(padded)


def decompose(features: Array, targets: Array) -> Decomposition:
    """Φ = U diag(σ) Vᵀ by the SVD of R in [Φ Y] = QR; U is read from Φ V.

    Args:
      features: (n, d) float32 or float64, the dtype of everything here. Wide Φ is reduced from the other side.
      targets: (n, k), likewise.
    """
    n, d = features.shape
    if n < d:
        left, sigma, _ = svd(factor(features.T).T)
        return Decomposition(sigma, matmul(left.T, targets), left, over(matmul(features.T, left), sigma))
    reduced = factor(jnp.concatenate([features, targets], axis=1))[:d]
    left, sigma, right = svd(reduced[:, :d])
    return Decomposition(sigma, matmul(left.T, reduced[:, d:]), over(matmul(features, right.T), sigma), right.T)
