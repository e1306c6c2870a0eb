"""The measures of a label spectrum: the alignment curve, its area, and the aligned rank."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from jaxalign._core.axes import on_automatic_axes
from jaxalign._core.kinds import as_known_number, require_kind, require_number
from jaxalign._core.known import known_values
from jaxalign._core.linalg import matmul
from jaxalign._core.thresholds import as_levels
from jaxalign._spectrum.types import Spectrum


def alignment_curve(spectrum: Spectrum, thresholds: ArrayLike) -> Float[Array, "*t k"]:
    """A(τ) = Σ_{i: σ_i ≥ τ} (u_iᵀ y)² at every threshold, and A(τ ≤ 0) = ‖y‖².

    It falls from ‖y‖² to 0 as τ grows, in steps at the singular values.

    Args:
      spectrum: of one representation, with k targets.
      thresholds: (t,) values of τ, or one number, in the units of the singular values.

    Returns:
      (t, k), or (k,) for one threshold, in the units of y²; NaN for a spectrum that holds NaN.

    Raises:
      ValueError: a batch of spectra; thresholds neither () nor (t,), or not finite (eager calls).
      TypeError: no Spectrum; thresholds that are not numbers.

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> ja.alignment_curve(s, [0.0, 0.5, 1.0, 2.0, 5.0]).ravel().tolist()
      [6.0, 5.0, 5.0, 4.0, 0.0]
      >>> ja.alignment_curve(s, 2.0).tolist()
      [4.0]

    Source: Eq. 1 of Imani, Hu, White (TMLR 2022).
    """
    require_one_spectrum(spectrum, "alignment_curve")
    tau = as_levels(thresholds, "thresholds", spectrum.singular_values.dtype)
    if tau.ndim > 1:
        raise ValueError(f"thresholds must be a number or have shape (t,), found shape {tau.shape}")
    return on_automatic_axes(_curve, spectrum, tau)


@jax.jit  # one program of an eager call, not one per operation
def _curve(spectrum: Spectrum, tau: Float[Array, "*t"]) -> Float[Array, "*t k"]:
    sigma = jnp.expand_dims(spectrum.singular_values, range(tau.ndim))
    above = (sigma >= tau[..., None]).astype(spectrum.energy.dtype)
    # The compiler of a GPU makes a selection of a product with one row of zeros and ones, and a
    # selection drops NaN.
    above = jnp.where(jnp.isnan(sigma), jnp.nan, above)
    inside = matmul(above, spectrum.energy)
    # Without a threshold the part of y outside the column space counts too.
    return jnp.where(tau[..., None] <= 0, spectrum.total, inside)


def alignment_area(spectrum: Spectrum) -> Float[Array, " k"]:
    """∫_0^∞ A(τ) dτ = Σ_i σ_i (u_iᵀ y)²: the whole curve in one number, between 0 and σ_1‖y‖².

    Args:
      spectrum: of one representation, with k targets; also that of a quadrature.

    Returns:
      (k,), in the units of σ·y²; NaN for a spectrum that holds NaN.

    Raises:
      ValueError: a batch of spectra; an area that the dtype does not hold (eager calls).
      TypeError: no Spectrum.

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> ja.alignment_area(s).tolist()
      [13.0]

    Source: ours, from Eq. 1 of Imani, Hu, White (TMLR 2022).
    """
    require_one_spectrum(spectrum, "alignment_area")
    area = on_automatic_axes(matmul, spectrum.singular_values, spectrum.energy)
    known = known_values(area)
    if known is not None:
        _require_area(known, spectrum)
    return area


def _require_area(area: Float[np.ndarray, " k"], spectrum: Spectrum) -> None:
    """Raise for an area that the dtype does not hold, or not with all its digits."""
    least = float(jnp.finfo(area.dtype).tiny / jnp.finfo(area.dtype).eps)
    if not (np.isinf(area) | (area < least)).any():
        return
    # In the range of float64 also where one of them is near the end of float32's.
    largest = np.float64(jnp.max(spectrum.singular_values))
    total = np.asarray(spectrum.total, np.float64)
    aligned = np.asarray(spectrum.energy).any(axis=0) & (largest > 0)
    # A small share of an area that the dtype holds is rounding.
    lost = np.isinf(area) | (aligned & (largest * total < least))
    if lost.any():
        raise ValueError(
            f"the area is outside the range of {area.dtype}, found singular values up to "
            f"{largest:.1e} and ‖y‖² of {total[lost].flat[0]:.1e}; "
            "divide features or targets by a constant"
        )


def aligned_rank(spectrum: Spectrum, energy: float = 0.9) -> Int[Array, " k"]:
    """min{m: Σ_{i≤m} (u_iᵀ y)² ≥ energy · Σ_i (u_iᵀ y)²}: how many top directions hold that share
    of the part of y in the column space.

    Args:
      spectrum: of one representation, with k targets.
      energy: the share, in (0, 1].

    Returns:
      (k,) int32; 0 where no part of y lies in the column space, −1 where the spectrum holds NaN.

    Raises:
      ValueError: the share is not in (0, 1] (eager values); the spectrum of a quadrature; a batch.
      TypeError: no Spectrum; a share that is not a number.

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> ja.aligned_rank(s, 0.5).tolist(), ja.aligned_rank(s, 0.9).tolist()
      ([1], [2])

    Source: ours; k(ε) of Imani et al. (JMLR 2024), as released, takes shares of norms instead of
      energies: 1 − (1 − ε)².
    """
    require_counted(spectrum, "aligned_rank")
    require_one_spectrum(spectrum, "aligned_rank")
    require_number(energy, "energy")
    known = known_values(energy)
    if known is not None and not 0 < known <= 1:
        raise ValueError(f"energy must be a share in (0, 1], found {energy}")
    return on_automatic_axes(_rank, spectrum, energy)


@jax.jit
def _rank(spectrum: Spectrum, energy: Float[ArrayLike, ""]) -> Int[Array, " k"]:
    reached = jnp.cumsum(spectrum.energy, axis=0)
    inside = reached[-1]
    # As many directions stay below the share, and one more reaches it.
    below = reached < jnp.asarray(energy, inside.dtype) * inside[None, :]
    rank = jnp.sum(below, axis=0, dtype=jnp.int32) + (inside > 0).astype(jnp.int32)
    return jnp.where(jnp.isnan(inside), -1, rank)


def require_spectrum(spectrum: Spectrum) -> None:
    """Raise unless this is a Spectrum."""
    remedy = "pass spectrum(features, targets)"
    if isinstance(getattr(spectrum, "spectrum", None), Spectrum):
        remedy = "pass its spectrum attribute"
    require_kind(spectrum, Spectrum, "spectrum", remedy)


def require_one_spectrum(spectrum: Spectrum, what: str) -> None:
    """Raise unless this is the Spectrum of one representation, no batch of them."""
    require_spectrum(spectrum)
    batch = jnp.shape(spectrum.singular_values)[:-1]
    if batch != ():
        raise ValueError(
            f"spectrum must be of one representation, found a batch of shape {batch}; "
            f"pass it through jax.vmap({what})"
        )


def require_counted(spectrum: Spectrum, what: str) -> None:
    """Raise unless this is a Spectrum of singular values: the nodes of a quadrature are none (eager
    calls).
    """
    require_spectrum(spectrum)
    rank = known_values(spectrum.rank)
    if rank is not None and (rank < 0).any():
        raise ValueError(
            f"{what} counts directions, which a quadrature does not know; "
            "pass the spectrum of spectrum(features, targets)"
        )


def usual_thresholds(num_samples: float) -> tuple[float, ...]:
    """Three τ to report by: 5, 15 and 30 % of √n, the largest possible σ of unit rows.

    Args:
      num_samples: n.

    Returns:
      The thresholds to one digit, without repetitions.

    Raises:
      ValueError: no samples.
      TypeError: no number.

    Example:
      >>> from jaxalign.alignment import usual_thresholds
      >>> usual_thresholds(1000)
      (2.0, 5.0, 9.0)

    Source: ours.
    """
    as_known_number(num_samples, "num_samples")
    if not 0 < num_samples < float("inf"):
        raise ValueError(f"num_samples must be positive and finite, found {num_samples}")
    shares = (0.05, 0.15, 0.3)
    return tuple(dict.fromkeys(float(f"{share * num_samples**0.5:.0e}") for share in shares))
