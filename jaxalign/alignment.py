"""The measures that read a label spectrum: curve, value at a threshold, area, aligned rank, and how fast a head learns."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxalign._checks import is_concrete, require_finite
from jaxalign._matmul import matmul
from jaxalign.spectrum import Spectrum


def alignment_curve(spectrum: Spectrum, thresholds: ArrayLike) -> Array:
    """A(τ) = Σ_{i: σ_i ≥ τ} (u_iᵀ y)² at every threshold, and A(τ ≤ 0) = ‖y‖²; it falls from ‖y‖² to 0 as τ grows.

    Args:
      spectrum: of one representation, with k targets.
      thresholds: (t,) values of τ, in the units of the singular values.

    Returns:
      (t, k), in the units of y²; NaN for a spectrum that holds NaN.

    Raises:
      ValueError: thresholds not of shape (t,), or not finite (eager calls).

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> ja.alignment_curve(s, [0.0, 0.5, 1.0, 2.0, 5.0]).ravel().tolist()
      [6.0, 5.0, 5.0, 4.0, 0.0]

    Source: Eq. 1 of Imani, Hu, White (TMLR 2022).
    """
    tau = jnp.asarray(thresholds, spectrum.singular_values.dtype)
    if tau.ndim != 1:
        raise ValueError(f"thresholds must have shape (t,), found {tau.shape}; for a single one call alignment")
    require_finite(tau, "thresholds")
    above = (spectrum.singular_values >= tau[:, None]).astype(spectrum.energy.dtype)
    inside = matmul(above, spectrum.energy)
    return jnp.where(tau[:, None] <= 0, spectrum.total, inside)


def alignment(spectrum: Spectrum, threshold: ArrayLike) -> Array:
    """A(τ) = Σ_{i: σ_i ≥ τ} (u_iᵀ y)² at one threshold: (k,), as ``alignment_curve`` gives it for several.

    Raises:
      ValueError: the threshold is not a scalar, or not finite (eager calls).

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> ja.alignment(s, 2.0).tolist()
      [4.0]

    Source: Eq. 1 of Imani, Hu, White (TMLR 2022).
    """
    tau = jnp.asarray(threshold)
    if tau.ndim != 0:
        raise ValueError(f"threshold must be a scalar, found shape {tau.shape}; for several call alignment_curve")
    return alignment_curve(spectrum, tau[None])[0]


def alignment_area(spectrum: Spectrum) -> Array:
    """∫_0^∞ A(τ) dτ = Σ_i σ_i (u_iᵀ y)²: (k,), the whole curve in one number, between 0 and σ_1‖y‖².

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> ja.alignment_area(s).tolist()
      [13.0]

    Source: ours, from Eq. 1 of Imani, Hu, White (TMLR 2022).
    """
    return matmul(spectrum.singular_values, spectrum.energy)


def aligned_rank(spectrum: Spectrum, energy: float = 0.9) -> Array:
    """min{m: Σ_{i≤m} (u_iᵀ y)² ≥ energy · Σ_i (u_iᵀ y)²}: how many top directions hold that share of y in the span.

    Args:
      spectrum: of one representation, with k targets.
      energy: the share, in (0, 1].

    Returns:
      (k,) int32; 0 where no part of y lies in the column space, −1 where the spectrum holds NaN.

    Raises:
      ValueError: the share is not in (0, 1] (eager values).

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> ja.aligned_rank(s, 0.5).tolist(), ja.aligned_rank(s, 0.9).tolist()
      ([1], [2])

    Source: ours; with norms for energies, 1 − (1 − ε)² its relation to k(ε) of Imani et al. (JMLR 2024), as released.
    """
    if is_concrete(energy) and not 0 < energy <= 1:
        raise ValueError(f"energy must be a share in (0, 1], found {energy}")
    reached = jnp.cumsum(spectrum.energy, axis=0)
    inside = reached[-1]
    rank = jnp.sum(reached < energy * inside, axis=0, dtype=jnp.int32) + (inside > 0)
    return jnp.where(jnp.isnan(inside), -1, rank)


def predicted_convergence(spectrum: Spectrum, steps: ArrayLike, *, step_size: ArrayLike | None = None) -> Array:
    """‖Φw_t − Φw_*‖² = Σ_i (1 − ησ_i²)^{2t} (u_iᵀ y)²: what gradient descent on ½‖Φw − y‖² from w = 0 has left to learn.

    Exact, of full batches; with the part of y outside the column space, ‖Φw_t − y‖² = ‖y‖² − Σ_i (u_iᵀ y)² + this. If
    η ≤ 1/σ_1², it is at most (1 − ητ²)^{2t} A(τ) + [A(0⁺) − A(τ)] for every τ: what lies above τ is learned no slower than τ.

    Args:
      spectrum: of one representation, with k targets.
      steps: (t,) numbers of updates, whole or in between, from 0.
      step_size: () η; by default 1/σ_1², the largest with which no direction overshoots.

    Returns:
      (t, k), in the units of y²; A(0⁺) at step 0, and falling.

    Raises:
      ValueError: steps not of shape (t,), negative or not finite; a step size that is no scalar, or outside (0, 2/σ_1²),
        where descent converges (eager calls).

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> ja.predicted_convergence(s, [0, 1, 2]).ravel().tolist()
      [5.0, 0.5625, 0.316...]

    Source: ours; textbook gradient descent, read off the spectrum of Eq. 1 of Imani, Hu, White (TMLR 2022).
    """
    sigma = spectrum.singular_values
    t = jnp.asarray(steps, sigma.dtype)
    if t.ndim != 1:
        raise ValueError(f"steps must have shape (t,), found {t.shape}; pass [10] for one number, range(10) for a run")
    require_finite(t, "steps")
    if is_concrete(t) and bool((t < 0).any()):
        raise ValueError(f"steps must not be negative, found {float(t.min())}")
    return matmul(_left_after(_speed(sigma, step_size), t), spectrum.energy)


def _left_after(speed: Array, t: Array) -> Array:
    """(1 − ησ²)^{2t}, (t, r), of which log1p keeps the digits where ησ² is small, with a derivative where it is 1."""
    distance = jnp.abs(1 - speed)
    remains = distance > jnp.finfo(speed.dtype).tiny
    rate = jnp.log1p(jnp.where(remains, jnp.where(speed < 1, -speed, speed - 2), -0.5))
    at_once = (t == 0).astype(speed.dtype)[:, None]
    return jnp.where(remains, jnp.exp(2 * t[:, None] * rate), at_once)


def _speed(sigma: Array, step_size: ArrayLike | None) -> Array:
    """ησ², (r,)."""
    top = sigma[0]
    if step_size is None:
        return (sigma / jnp.where(top > 0, top, 1)) ** 2  # 1 without rounding for the first
    eta = jnp.asarray(step_size, top.dtype)
    if eta.ndim != 0:
        raise ValueError(f"step_size must be a scalar, found shape {eta.shape}")
    if is_concrete(eta) and is_concrete(top) and not (eta > 0 and eta * top**2 < 2):
        raise ValueError(f"step_size must lie between 0 and 2/σ_1² = {float(2 / top**2):.6g}, found {float(eta):.6g}")
    return eta * sigma**2
