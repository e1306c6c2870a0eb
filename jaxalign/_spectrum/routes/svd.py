"""The reference route: a plain thin SVD, against which the others are tested."""

from jax import Array
from jaxtyping import Float

from jaxalign._core.linalg import matmul, svd
from jaxalign._spectrum.decomposition import Decomposition, Route
from jaxalign._spectrum.routes.precision import Center, about, in_float64, in_own_dtype

RESOLUTION = 2.0**-52
"""Singular values below this share of σ_1 are noise (eps of float64)."""


def decompose(features: Float[Array, "n d"], targets: Float[Array, "n k"]) -> Decomposition:
    """Φ = U diag(σ) Vᵀ by the platform's SVD.

    Args:
      features: (n, d) float32 or float64, the dtype of everything here.
      targets: (n, k), likewise.
    """
    left, sigma, right = svd(features)
    return Decomposition(sigma, matmul(left.T, targets), left, right.T)


def _decompose_in_float64(
    features: Float[Array, "n d"], targets: Float[Array, "n k"], center: Center | None
) -> Decomposition:
    return decompose(about(features, center), targets)


ROUTE = Route(in_float64(_decompose_in_float64), float64=True, resolution=RESOLUTION)

FLOAT32_ROUTE = Route(in_own_dtype(decompose), float64=False, resolution=0.0)
"""What it is on a TPU, which has no SVD in float64."""
