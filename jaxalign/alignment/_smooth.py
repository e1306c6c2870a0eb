"""Alignment as an objective: a smooth curve with a useful gradient."""

import jax
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.axes import on_automatic_axes
from jaxalign._core.checks import as_dtype, as_real_floats, require_finite
from jaxalign._core.known import known_values
from jaxalign._core.linalg import matmul
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment._measures import require_one_spectrum


def smooth_alignment(
    spectrum: Spectrum, threshold: ArrayLike, *, width: ArrayLike = 1.0
) -> Float[Array, " k"]:
    """A_w(τ) = Σ_i s((σ_i − τ)/w) (u_iᵀ y)² with the logistic s: A(τ) with a soft threshold.

    A(τ) itself is a step function of every σ_i, so its gradient sees the directions alone. Add
    −A_w(τ)/‖y‖², of a layer's spectrum, to a loss.

    Args:
      spectrum: of one representation, with k targets.
      threshold: () τ, in the units of the singular values.
      width: () w > 0 of the soft threshold, in the same units; for w → 0, A_w(τ) tends to
        ``alignment_curve``.

    Returns:
      (k,), between 0 and ‖P_col y‖².

    Raises:
      ValueError: a batch of spectra; threshold or width not a scalar; a threshold that is not
        finite, or a width that is not positive (eager values).
      TypeError: no Spectrum; threshold or width no number.

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> ja.smooth_alignment(s, 3.0).round(2).tolist()
      [2.119...]
      >>> ja.smooth_alignment(s, 2.0, width=0.01).round(2).tolist()
      [4.0]

    Source: ours.
    """
    require_one_spectrum(spectrum, "smooth_alignment")
    dtype = spectrum.singular_values.dtype
    tau = as_dtype(as_real_floats(threshold, "threshold"), dtype)
    w = as_dtype(as_real_floats(width, "width"), dtype)
    if tau.ndim != 0 or w.ndim != 0:
        raise ValueError(
            f"threshold and width must be scalars, found shapes {tau.shape} and {w.shape}"
        )
    require_finite(tau, "threshold")
    known = known_values(w)
    if known is not None and not known > 0:
        raise ValueError(
            f"width must be positive, found {known:g}; for a hard threshold call alignment_curve"
        )
    return on_automatic_axes(_softly_above, spectrum, tau, w)


def _softly_above(
    spectrum: Spectrum, tau: Float[Array, ""], w: Float[Array, ""]
) -> Float[Array, " k"]:
    return matmul(jax.nn.sigmoid((spectrum.singular_values - tau) / w), spectrum.energy)
