"""Certified bounds of the curve, from a quadrature."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.axes import on_automatic_axes
from jaxalign._core.checks import as_real_floats, require_finite
from jaxalign._core.float64 import float64_inside
from jaxalign._core.kinds import require_kind
from jaxalign._core.platform import on_platform
from jaxalign._spectrum.quadrature import Quadrature
from jaxalign._spectrum.radau import curve_bounds


def quadrature_bounds(
    quadrature: Quadrature, thresholds: ArrayLike
) -> tuple[Float[Array, "t k"], Float[Array, "t k"]]:
    """(lower, upper) bounds of A(τ): the sharpest that the first 2m moments of the spectral measure
    allow.

    Chebyshev, Markov and Stieltjes: with a node of the quadrature put at z = τ² (Gauss–Radau), the
    weights above z are at most A(τ), those at and above z at least A(τ). Both hold for the curve of
    Φ as given: arithmetic computed the curve A' of some Φ + E, ‖E‖ ≤ ρσ_1, and by Davis and Kahan
    √A(τ) lies between √A'(τ ± √ρσ_1) ∓ √ρ‖y‖.

    Args:
      quadrature: of one representation.
      thresholds: (t,) values of τ.

    Returns:
      Two (t, k), in the units of y². At τ ≤ 0 both are ‖y‖².

    Raises:
      ValueError: thresholds not of shape (t,), or not finite (eager calls).

    Example:
      >>> import jaxalign as ja
      >>> q = ja.quadrature([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 0.0], order=1)
      >>> lower, upper = ja.quadrature_bounds(q, [2.0])
      >>> bool(lower[0, 0] <= 4.0 <= upper[0, 0])
      True

    Source: ours, on Golub (1973), Golub, Meurant (2010) and Davis, Kahan (1970).
    """
    remedy = "pass quadrature(features, targets)"
    require_kind(quadrature, Quadrature, "quadrature", remedy)
    tau = as_real_floats(thresholds, "thresholds")
    if tau.ndim != 1:
        raise ValueError(f"thresholds must have shape (t,), found {tau.shape}")
    require_finite(tau, "thresholds")
    return on_automatic_axes(_bounds, quadrature, tau)


@jax.jit
def _bounds(
    quadrature: Quadrature, tau: Float[Array, " t"]
) -> tuple[Float[Array, "t k"], Float[Array, "t k"]]:
    dtype = quadrature.spectrum.total.dtype

    slack = 4 * float(jnp.finfo(dtype).eps)

    def run(wide: Any, *arguments: Array) -> tuple[Array, Array]:
        alpha, beta, rounding, total, tau = (x.astype(wide) for x in arguments)
        # The eigensolver of the bounds rounds as the steps do.
        rounding = jnp.maximum(rounding, 8 * float(jnp.finfo(wide).eps))
        lower, upper = curve_bounds(alpha, beta, rounding, total, tau, slack)
        return lower.astype(dtype), upper.astype(dtype)

    return on_platform(
        float64_inside(partial(run, jnp.float64)),
        partial(run, jnp.float32),
        quadrature.diagonal,
        quadrature.subdiagonal,
        quadrature.rounding,
        quadrature.spectrum.total,
        tau,
    )
