"""HSIC and CKA of kernels (n, n) that are at hand."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.known import is_concrete
from jaxalign.similarity._estimators import Estimator, cka_of, explained, held, hsic_of, rows_for
from jaxalign.similarity._kernel_sums import KernelSums, of_centred_kernels
from jaxalign.similarity._pair import Numbers, compared, precision_of

# Asymmetry up to this share of the largest entry is rounding.
_ROUNDING = 1e-3


def hsic(
    x_kernel: ArrayLike, y_kernel: ArrayLike, *, estimator: Estimator = "biased"
) -> Float[Array, ""]:
    """The Hilbert–Schmidt independence criterion of two kernels, tr(HKHL)/(n − 1)², H = 1 − 11ᵀ/n.

    Args:
      x_kernel: (n, n) symmetric K, centred or not.
      y_kernel: (n, n) symmetric L, of the same rows.
      estimator: "biased": as above. "debiased": the U-statistic of Song et al., whose mean
        over all permutations of the rows is 0. "lange": Σ_{i≠j} (HKH)_ij (HLH)_ij/(n(n − 3)).

    Returns:
      () in the kernels' dtype.

    Raises:
      ValueError: kernels that are not square, not symmetric or not finite (eager calls), of
        different n or of too few rows (2 for "biased", else 4); an unknown estimator.
      TypeError: no numbers.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> similarity.hsic(np.eye(5), np.eye(5)).item()
      0.25
      >>> bool(abs(similarity.hsic(np.eye(5), np.eye(5), estimator="debiased")) < 1e-6)
      True

    Source: Gretton et al. (ALT 2005), Eq. 9; Song et al. (JMLR 2012), Eq. 5; Lange et al. (2023),
      as of kernels below the diagonal.
    """
    value = explained(_of_kernels(_hsic, x_kernel, y_kernel, estimator), "hsic")
    return held(value, "hsic", partial(_of_kernels, _cka, x_kernel, y_kernel, estimator))


def cka(
    x_kernel: ArrayLike, y_kernel: ArrayLike, *, estimator: Estimator = "biased"
) -> Float[Array, ""]:
    """Centred kernel alignment, HSIC(K, L)/√(HSIC(K, K) HSIC(L, L)), of two kernels.

    By chance the debiased estimate is 0, the biased one is not: see ``linear_cka``.

    Args:
      x_kernel: (n, n) symmetric K, centred or not.
      y_kernel: (n, n) symmetric L, of the same rows.
      estimator: as in ``hsic``.

    Returns:
      () in the kernels' dtype, never clipped; NaN where the HSIC of K or of L with itself is
      not positive (with a SimilarityWarning in eager calls).

    Raises:
      as ``hsic``.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> similarity.cka(np.eye(5), 2 * np.eye(5)).round(6).item()
      1.0

    Source: Kornblith, Norouzi, Lee, Hinton (ICML 2019), Eq. 3.
    """
    return explained(_of_kernels(_cka, x_kernel, y_kernel, estimator), "cka", estimator)


def _of_kernels(
    measure: Callable[..., Array], x_kernel: ArrayLike, y_kernel: ArrayLike, estimator: str
) -> Array:
    least = rows_for(estimator)
    kernels = [
        _as_kernel(x_kernel, "x_kernel"),
        _as_kernel(y_kernel, "y_kernel"),
    ]
    rounding = 4 * float(np.finfo(precision_of(*kernels)).eps)
    return compared(measure, *kernels, estimator, rounding, least=least)


def _as_kernel(kernel: ArrayLike, name: str) -> Numbers:
    numbers = as_numbers(kernel, name)
    shape = numbers.shape
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(
            f"{name} must be a kernel (n, n), found shape {shape}; "
            "for features pass linear_cka(x, y) or rbf_cka(x, y)"
        )
    if is_concrete(numbers):
        _require_symmetric(np.asarray(numbers, np.float64), name)
    return numbers


def _require_symmetric(kernel: Float[np.ndarray, "n n"], name: str) -> None:
    # Infinities are refused later.
    with np.errstate(invalid="ignore"):
        asymmetry = np.abs(kernel - kernel.T).max(initial=0)
    if asymmetry > _ROUNDING * np.abs(kernel).max(initial=0):
        raise ValueError(
            f"{name} must be symmetric, found entries that differ by {asymmetry:.1e} "
            "from those of its transpose"
        )


def _centred(kernel: Float[Array, "n n"], rounding: float) -> Float[Array, "n n"]:
    """HKH; 0 where that is no more than rounding of K, as for features that are constant."""
    rows = kernel.mean(axis=0)
    centred = kernel - rows[None, :] - rows[:, None] + rows.mean()
    # `not <=` instead of `>`: NaN stays NaN.
    varies = ~(jnp.max(jnp.abs(centred)) <= rounding * jnp.max(jnp.abs(kernel)))
    return jnp.where(varies, centred, 0)


def _sums(x_kernel: Array, y_kernel: Array, rounding: float) -> KernelSums:
    return of_centred_kernels(_centred(x_kernel, rounding), _centred(y_kernel, rounding))


def _hsic(x_kernel: Array, y_kernel: Array, estimator: str, rounding: float) -> Array:
    return hsic_of(_sums(x_kernel, y_kernel, rounding), estimator)[0]


def _cka(x_kernel: Array, y_kernel: Array, estimator: str, rounding: float) -> Array:
    return cka_of(_sums(x_kernel, y_kernel, rounding), estimator)
