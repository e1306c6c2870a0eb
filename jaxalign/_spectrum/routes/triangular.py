"""The triangular route: an orthogonal reduction of [Φ Y] in the features' own dtype; no squares,
and no float64 needed.
"""

import jax.numpy as jnp
from jax import Array

from jaxalign._core.linalg import matmul, orthonormal, svd, triangle_of
from jaxalign._spectrum.decomposition import Decomposition, Route
from jaxalign._spectrum.routes.moments import over

RESOLUTION = 0.0
"""Orthogonal throughout: it resolves eps·σ_1 of its dtype, which the rank tolerance holds already.
"""


def reduce(features: Array, targets: Array) -> Array:
    """(d + 1, d + k): R and QᵀY of Φ = QR side by side, and in a last row zeros and the norms of Y
    − QQᵀY.

    Fewer rows than columns count as having rows of zeros under them.
    """
    d, k = features.shape[1], targets.shape[1]
    if k <= d:  # R of [Φ Y] has it all; Q is not formed
        whole = triangle_of(_taller(jnp.concatenate([features, targets], axis=1), d + k))
        top, rest = whole[:d], whole[d:, d:]
    else:
        tall = _taller(targets, d)
        q, r = orthonormal(_taller(features, d))
        along = matmul(q.T, tall)
        top, rest = jnp.concatenate([r, along], axis=1), tall - matmul(q, along)
    return jnp.concatenate([top, jnp.pad(jnp.linalg.norm(rest, axis=0), (d, 0))[None]])


def _taller(rows: Array, height: int) -> Array:
    return jnp.pad(rows, ((0, max(height - len(rows), 0)), (0, 0)))


def decompose(features: Array, targets: Array) -> Decomposition:
    """Φ = U diag(σ) Vᵀ by the SVD of R in Φ = QR; U is read from Φ V.

    Args:
      features: (n, d) float32 or float64, the dtype of everything here. Wide Φ is reduced from the
        other side.
      targets: (n, k), likewise.
    """
    n, d = features.shape
    if n < d:
        left, sigma, _ = svd(triangle_of(features.T).T)
        return Decomposition(
            sigma, matmul(left.T, targets), left, over(matmul(features.T, left), sigma)
        )
    reduced = reduce(features, targets)[:d]
    left, sigma, right = svd(reduced[:, :d])
    return Decomposition(
        sigma, matmul(left.T, reduced[:, d:]), over(matmul(features, right.T), sigma), right.T
    )


ROUTE = Route(decompose, float64=False, resolution=RESOLUTION)
