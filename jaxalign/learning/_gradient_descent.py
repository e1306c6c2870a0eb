"""How fast gradient descent on a linear head learns, from the label spectrum alone."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.axes import on_automatic_axes
from jaxalign._core.checks import as_dtype, as_real_floats, require_finite
from jaxalign._core.known import known_values
from jaxalign._core.linalg import matmul
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment._measures import require_one_spectrum


def predicted_convergence(
    spectrum: Spectrum, steps: ArrayLike, *, step_size: ArrayLike | None = None
) -> Float[Array, "t k"]:
    """‖Φw_t − Φw_*‖² = Σ_i (1 − ησ_i²)^{2t} (u_iᵀ y)²: the excess error of gradient descent on
    ½‖Φw − y‖² from w = 0, after t steps.

    Exact for full batches. The whole error is ‖Φw_t − y‖² = ‖y‖² − Σ_i (u_iᵀ y)² + this. If η ≤
    1/σ_1², it is at most (1 − ητ²)^{2t} A(τ) + [A(0⁺) − A(τ)] for every τ: directions with σ_i ≥ τ
    are learned at least as fast as a direction with σ = τ.

    Args:
      spectrum: of one representation, with k targets.
      steps: (t,) numbers of updates, whole or in between, from 0.
      step_size: () η; by default 1/σ_1², the largest at which no direction overshoots.

    Returns:
      (t, k), in the units of y²; A(0⁺) at step 0, and decreasing.

    Raises:
      ValueError: a batch of spectra; steps not of shape (t,), negative or not finite; a step size
        that is not a scalar, or not in (0, 2/σ_1²), where descent converges (eager calls).
      TypeError: no Spectrum; steps or a step size that are not numbers.

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> ja.predicted_convergence(s, [0, 1, 2]).ravel().tolist()
      [5.0, 0.5625, 0.316...]

    Source: textbook gradient descent, from the spectrum of Eq. 1 of Imani, Hu, White (TMLR 2022).
    """
    require_one_spectrum(spectrum, "predicted_convergence")
    sigma = spectrum.singular_values
    t = as_dtype(as_real_floats(steps, "steps"), sigma.dtype)
    if t.ndim != 1:
        raise ValueError(
            f"steps must have shape (t,), found {t.shape}; "
            "pass [10] for one number, range(10) for a run"
        )
    require_finite(t, "steps")
    known = known_values(t)
    if known is not None and (known < 0).any():
        raise ValueError(f"steps must not be negative, found {float(known.min())}")
    eta = None if step_size is None else _checked(step_size, sigma)
    return on_automatic_axes(_excess, spectrum, t, eta)


@jax.jit  # one program of an eager call, not one per operation
def _excess(
    spectrum: Spectrum, t: Float[Array, " t"], eta: Float[Array, ""] | None
) -> Float[Array, "t k"]:
    return matmul(_left_after(_speed(spectrum.singular_values, eta), t), spectrum.energy)


def _left_after(speed: Float[Array, " r"], t: Float[Array, " t"]) -> Float[Array, "t r"]:
    """(1 − ησ²)^{2t} of the speeds ησ²."""
    # log|1 − ησ²|, by log1p where 1 − ησ² would round a small ησ². ησ² = 1, which is learned in one
    # step, has the logarithm of the smallest number. It is not compared with 1: fused with what
    # computes it, each comparison may round it differently.
    is_slow = speed < 0.5
    distance = jnp.maximum(jnp.abs(1 - speed), float(jnp.finfo(speed.dtype).tiny))
    slow_rate = jnp.log1p(-jnp.where(is_slow, speed, 0))
    rate = jnp.where(is_slow, slow_rate, jnp.log(jnp.where(is_slow, 1, distance)))
    return jnp.exp(2 * t[:, None] * rate[None, :])


def _speed(sigma: Float[Array, " r"], eta: Float[Array, ""] | None) -> Float[Array, " r"]:
    """The speed ησ² of each direction."""
    if eta is not None:
        # Not η·σ²: the square of a small or large σ may be out of range.
        return (jnp.sqrt(eta) * sigma) ** 2
    top = sigma[0]
    # Divided before it is squared, so that it is exactly 1 for σ_1.
    return (sigma / jnp.where(top > 0, top, 1)) ** 2


def _checked(step_size: ArrayLike, sigma: Float[Array, " r"]) -> Float[Array, ""]:
    """The step size η, in the range where descent converges."""
    eta = as_dtype(as_real_floats(step_size, "step_size"), sigma.dtype)
    if eta.ndim != 0:
        raise ValueError(f"step_size must be a scalar, found shape {eta.shape}")
    step, known = known_values(eta), known_values(sigma)
    if step is not None and known is not None:
        top = known[0]
        if not (step > 0 and np.sqrt(step) * top < 2**0.5):
            raise ValueError(
                f"step_size must lie between 0 and 2/σ_1² = {2 / top**2:.6g}, found {step:.6g}"
            )
    return eta
