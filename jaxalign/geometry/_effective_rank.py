"""How many directions a representation uses: counts that are told by its singular values."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.kinds import require_flag, require_known_sizes
from jaxalign._core.known import known_values
from jaxalign._spectrum.moments import Moments
from jaxalign._spectrum.spectrum import spectrum
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment._measures import require_counted, require_one_spectrum

Representation = ArrayLike | Moments | Spectrum
"""(n, d) features, their Moments, or a Spectrum, whose singular values are taken as they are."""

RANKME_EPS = 1e-7


def rankme(features: Representation, *, centered: bool | None = None) -> Float[Array, ""]:
    """RankMe = exp(−Σ_i p_i log p_i), p_i = σ_i/Σσ + 1e-7: the number of directions, each counted
    by its singular value σ.

    No labels take part. What chance gives is the value of white noise of the same shape, which is
    below min(n, d).

    Args:
      features: (n, d) of any real dtype; Moments; or a Spectrum.
      centered: about the mean; by default as they are. Not with a Spectrum, which is one or the
        other already.

    Returns:
      () from 1 to min(n, d), but for the little that the 1e-7 changes.

    Raises:
      ValueError: as ``spectrum``; features that are all 0, or constant if centred (eager calls);
        ``centered`` with a Spectrum; a batch of spectra; the spectrum of a quadrature.
      TypeError: features that are not numbers.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> round(float(ja.geometry.rankme(np.eye(8)[:, :4])), 3)
      4.0

    Source: Garrido et al. (ICML 2023), Eq. 1. Some programs take σ² or centre: other numbers.
    """
    sigma = singular_values(features, centered, default=False, what="rankme")
    return _entropy_rank(sigma, RANKME_EPS)


def effective_rank(features: Representation, *, centered: bool | None = None) -> Float[Array, ""]:
    """exp(−Σ_i p_i log p_i), p_i = λ_i/Σλ, of the eigenvalues λ = σ²/n of the covariance matrix.

    The exponential of ``spectral_entropy``. Roy and Vetterli take p_i = σ_i/Σσ, which ``rankme``
    does. For n below some ten times d it is biased downwards.

    No labels take part. What chance gives is the value of white noise of the same shape, which is
    below min(n, d).

    Args:
      features: as in ``rankme``.
      centered: about the mean, by default.

    Returns:
      () from 1 to min(n, d).

    Raises:
      as ``rankme``.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
      >>> round(float(ja.geometry.effective_rank(x)), 3)
      2.0

    Source: Roy, Vetterli (EUSIPCO 2007), of eigenvalues.
    """
    sigma = singular_values(features, centered, default=True, what="effective_rank")
    return _entropy_rank(sigma**2, 0.0)


def spectral_entropy(features: Representation, *, centered: bool | None = None) -> Float[Array, ""]:
    """−Σ_i p_i log p_i in nats, p_i = λ_i/Σλ, of the eigenvalues λ of the covariance matrix.

    Args:
      features: as in ``rankme``.
      centered: about the mean, by default.

    Returns:
      () from 0 to log min(n, d).

    Raises:
      as ``rankme``.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
      >>> round(float(ja.geometry.spectral_entropy(x)), 3)  # log 2
      0.693

    Source: von Neumann's entropy of the covariance matrix over its trace.
    """
    return jnp.log(effective_rank(features, centered=centered))


def participation_ratio(
    features: Representation, *, centered: bool | None = None
) -> Float[Array, ""]:
    """(Σλ)²/Σλ² of the eigenvalues λ of the covariance matrix.

    For n below some ten times d it is biased downwards: of n rows of noise in d dimensions it is
    about nd/(n + d).

    No labels take part. What chance gives is the value of white noise, nd/(n + d) for large n and
    d.

    Args:
      features: as in ``rankme``.
      centered: about the mean, by default.

    Returns:
      () from 1 to min(n, d).

    Raises:
      as ``rankme``.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
      >>> round(float(ja.geometry.participation_ratio(x)), 3)
      2.0

    Source: Gao et al. (bioRxiv 2017); Recanatesi et al. (Patterns 2022).
    """
    sigma = singular_values(features, centered, default=True, what="participation_ratio")
    share = sigma**2
    return jnp.sum(share) ** 2 / jnp.sum(share**2)


def stable_rank(features: Representation, *, centered: bool | None = None) -> Float[Array, ""]:
    """‖Φ‖_F²/‖Φ‖_2² = Σσ²/σ_1².

    No labels take part. What chance gives is the value of white noise, nd/(√n + √d)² for large n
    and d, uncentred.

    Args:
      features: as in ``rankme``.
      centered: about the mean; by default as they are.

    Returns:
      () from 1 to min(n, d).

    Raises:
      as ``rankme``.

    Example:
      >>> import jaxalign as ja
      >>> float(ja.geometry.stable_rank([[2.0, 0.0], [0.0, 1.0]]))
      1.25

    Source: Rudelson, Vershynin (J. ACM 2007).
    """
    sigma = singular_values(features, centered, default=False, what="stable_rank")
    return jnp.sum(sigma**2)


def singular_values(
    features: Representation, centered: bool | None, *, default: bool, what: str
) -> Float[Array, " r"]:
    """(r,) σ/σ_1, descending, of a representation that is not all 0: squares of σ may leave the
    range of their dtype.
    """
    if isinstance(features, Spectrum):
        if centered is not None:
            raise ValueError(
                f"centered={centered} does not go with a Spectrum, which is centred already or "
                "never; pass spectrum(features, targets, centered=...) alone"
            )
        found = features
    else:
        about_mean = default if centered is None else centered
        require_flag(about_mean, "centered")
        found = _spectrum_of(features, about_mean)
    require_counted(found, what)
    require_one_spectrum(found, what)
    sigma = found.singular_values
    known = known_values(sigma)
    if known is not None and not known[0] > 0:
        raise ValueError(
            f"features have no direction: {what} is not defined where all are 0, "
            "or all rows equal and centred"
        )
    # NaN where all are 0. Below the rank tolerance is rounding.
    shares = sigma / sigma[0]
    inside = jnp.arange(len(sigma), dtype=found.rank.dtype) < found.rank
    return jnp.where(inside, shares, 0 * shares)


def _spectrum_of(features: ArrayLike | Moments, centered: bool) -> Spectrum:
    if isinstance(features, Moments):
        return spectrum(features, centered=centered)
    x = as_numbers(features, "features")
    require_known_sizes(x.shape, "features")
    targets = np.ones((len(x) if x.ndim > 0 else 1, 1), np.float32)  # any, of as many rows
    return spectrum(x, targets, centered=centered)


@jax.jit
def _entropy_rank(weights: Float[Array, " r"], eps: float) -> Float[Array, ""]:
    """Exp H(p), p = weights/Σ + eps."""
    p = weights / jnp.sum(weights) + eps
    is_none = p == 0  # NaN stays NaN
    return jnp.exp(-jnp.sum(jnp.where(is_none, 0, p * jnp.log(jnp.where(is_none, 1, p)))))
