"""The triangular route: an orthogonal reduction of [Φ Y] in the features' own dtype; nothing is
squared, and no float64 is needed.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxalign._core.linalg import matmul, orthonormal, svd, triangle_of
from jaxalign._spectrum.decomposition import Decomposition, Route
from jaxalign._spectrum.routes.moments import over
from jaxalign._spectrum.routes.precision import in_own_dtype

RESOLUTION = 0.0
"""Orthogonal throughout: it resolves eps·σ_1 of its dtype, which the rank tolerance exceeds."""


def reduce(features: Float[Array, "n d"], targets: Float[Array, "n k"]) -> Float[Array, "d+1 d+k"]:
    """R and QᵀY of Φ = QR side by side, and in a last row zeros and the norms of Y − QQᵀY.

    Fewer rows than columns are padded with rows of zeros.
    """
    d = features.shape[1]
    k = targets.shape[1]
    if k <= d:
        # [Φ Y] = Q'[R QᵀY; 0 S], and the norms of Y − QQᵀY are those of S: Q' is not formed.
        triangle = triangle_of(_padded(jnp.concatenate([features, targets], axis=1), d + k))
        top = triangle[:d]
        outside = triangle[d:, d:]
    else:
        # Many targets: Q is smaller than the triangle of them all.
        tall = _padded(targets, d)
        q, r = orthonormal(_padded(features, d))
        along = matmul(q.T, tall)
        top = jnp.concatenate([r, along], axis=1)
        outside = tall - matmul(q, along)
    return jnp.concatenate([top, jnp.pad(jnp.linalg.norm(outside, axis=0), (d, 0))[None]])


def _padded(rows: Float[Array, "n w"], height: int) -> Float[Array, "h w"]:
    return jnp.pad(rows, ((0, max(height - len(rows), 0)), (0, 0)))


def decompose(features: Float[Array, "n d"], targets: Float[Array, "n k"]) -> Decomposition:
    """Φ = U diag(σ) Vᵀ by the SVD of R in Φ = QR, and U = ΦV diag(1/σ).

    Args:
      features: (n, d) float32 or float64, the dtype of everything here. Wide Φ is replaced by its
        transpose.
      targets: (n, k), likewise.
    """
    n, d = features.shape
    if n < d:
        # Φᵀ = QR, so Φ = RᵀQᵀ has the left singular vectors of Rᵀ.
        left, sigma, _ = svd(triangle_of(features.T).T)
        right = over(matmul(features.T, left), sigma)
        return Decomposition(sigma, matmul(left.T, targets), left, right)
    # R = L diag(σ) Vᵀ, so UᵀY = Lᵀ(QᵀY).
    reduced = reduce(features, targets)[:d]
    left, sigma, right = svd(reduced[:, :d])
    coordinates = matmul(left.T, reduced[:, d:])
    return Decomposition(sigma, coordinates, over(matmul(features, right.T), sigma), right.T)


ROUTE = Route(in_own_dtype(decompose), float64=False, resolution=RESOLUTION)
