"""CKA of the linear kernels XXᵀ and YYᵀ, from features or from pair moments."""

import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.known import is_on_host
from jaxalign._core.linalg import centred
from jaxalign.similarity._estimators import Estimator, cka_of, explained, rows_for
from jaxalign.similarity._kernel_sums import is_tall, of_centred_features
from jaxalign.similarity._pair_moments import PairMoments, moments_about_mean
from jaxalign.similarity._reading import Central, compared_or_read, kernel_sums


def linear_cka(
    x: ArrayLike | PairMoments, y: ArrayLike | None = None, *, estimator: Estimator = "biased"
) -> Float[Array, ""]:
    """Centred kernel alignment of XXᵀ and YYᵀ, ‖XᵀY‖²/(‖XᵀX‖ ‖YᵀY‖) for X and Y about their means.

    Computed in float64 from the smaller of XᵀX and XXᵀ. Rotations, shifts and one factor for all
    of X (or Y) change nothing; a factor of its own for each column, or whitening, does.

    By chance (rows of Y permuted) the biased estimate is √(PR_x PR_y)/(n − 1) with the
    participation ratios PR = (tr XᵀX)²/‖XᵀX‖², which tends to 1 for n ≪ d; the debiased one is 0.
    See ``linear_cka_null``. No estimate is clipped: debiased ones may be below 0 or above 1.

    Args:
      x: (n, p) of one representation, or PairMoments, alone.
      y: (n, q) of the other one, of the same rows.
      estimator: "biased": as above, of n ≥ 2 rows. "debiased": by the unbiased HSIC of Song et al.,
        of n ≥ 4 rows. "lange": of centred kernels without their diagonals, n ≥ 4; by chance
        about √(PR_x PR_y)/n².

    Returns:
      () in the features' dtype; NaN where x or y is constant, or its own debiased HSIC is not
      positive (with a SimilarityWarning in eager calls).

    Raises:
      ValueError: x or y no matrix, empty, not finite (eager calls), of different n or of too few
        rows; y beside pair moments; an unknown estimator; pair moments summed over different
        pivots by psum (eager calls).
      TypeError: x or y no numbers.

    Example:
      >>> from jaxalign import similarity
      >>> x = [[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [0.0, 0.0], [0.0, -1.0]]
      >>> y = [[1.0], [0.0], [-1.0], [0.0], [1.0]]
      >>> similarity.linear_cka(x, y).item()
      0.373...
      >>> similarity.linear_cka(x, y, estimator="debiased").item()
      0.345...

    Source: Kornblith, Norouzi, Lee, Hinton (ICML 2019), Eq. 4; "debiased": Song et al. (JMLR 2012),
      Eq. 5, in it, as Nguyen, Raghu, Kornblith (ICLR 2021) do; "lange": Lange et al. (2023).
    """
    least = rows_for(estimator)
    if not isinstance(x, PairMoments) and y is not None and _are_tall_on_host(x, y):
        x, y = moments_about_mean(as_numbers(x, "x"), as_numbers(y, "y")), None
    value = compared_or_read(_of_arrays, _of_moments, x, y, estimator, least=least)
    return explained(value, "linear_cka", estimator)


def _are_tall_on_host(x: ArrayLike, y: ArrayLike) -> bool:
    """Whether BLAS, which computes half of a symmetric product, is faster than a program."""
    pair = as_numbers(x, "x"), as_numbers(y, "y")
    on_host = [isinstance(part, np.ndarray) or is_on_host(part) for part in pair]
    return all(on_host) and all(part.ndim == 2 for part in pair) and is_tall(*pair)


def _of_arrays(x: Float[Array, "n p"], y: Float[Array, "n q"], estimator: str) -> Array:
    return cka_of(of_centred_features(centred(x), centred(y)), estimator)


def _of_moments(central: Central, estimator: str) -> Array:
    return cka_of(kernel_sums(central), estimator)
