"""CKA of Gaussian kernels, in blocks of rows."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.clouds import cloud_of
from jaxalign._core.kinds import as_known_number, require_flag
from jaxalign._core.linalg import centred
from jaxalign.similarity._blocks import by_rows
from jaxalign.similarity._estimators import Estimator, cka_of, explained, rows_for
from jaxalign.similarity._kernel_sums import KernelSums
from jaxalign.similarity._median import median_distance
from jaxalign.similarity._pair import compared


def rbf_cka(
    x: ArrayLike,
    y: ArrayLike,
    *,
    bandwidth: float = 1.0,
    relative: bool = True,
    estimator: Estimator = "biased",
) -> Float[Array, ""]:
    """Centred kernel alignment of the kernels exp(−‖x_i − x_j‖²/(2b²)) of X and of Y.

    No kernel is ever whole in memory. Rotations and shifts change nothing, nor does a factor if the
    bandwidth is relative. By chance the debiased estimate is 0; for the biased one see
    ``permutation_null``.

    Args:
      x: (n, p) of one representation.
      y: (n, q) of the other one, of the same rows.
      bandwidth: b, as a multiple of the median distance ‖x_i − x_j‖ over pairs of rows (that of x
        for x, that of y for y), or as it is.
      relative: to the median distance.
      estimator: as in ``linear_cka``.

    Returns:
      () in the features' dtype, computed in float64; NaN where x or y is constant, or half of all
      pairs of rows are equal and the median 0 (with a SimilarityWarning in eager calls).

    Raises:
      ValueError: as ``linear_cka``; a bandwidth that is not positive.
      TypeError: x or y no numbers; a bandwidth that is none; ``relative`` neither True nor False.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> x = np.random.default_rng(0).standard_normal((20, 3))
      >>> similarity.rbf_cka(x, 3 * x).round(6).item()
      1.0

    Source: Kornblith, Norouzi, Lee, Hinton (ICML 2019), Section 3; their program takes the median
      of squared distances, zeros of rows with themselves included.
    """
    width = as_known_number(bandwidth, "bandwidth")
    require_flag(relative, "relative")
    least = rows_for(estimator)
    if not (np.isfinite(width) and width > 0):
        raise ValueError(f"bandwidth must be positive and finite, found {width}")
    value = compared(_rbf_cka, x, y, width, bool(relative), estimator, least=least)
    return explained(value, "rbf_cka", estimator)


def _rbf_cka(x: Array, y: Array, bandwidth: float, relative: bool, estimator: str) -> Array:
    of_x, of_y = (over_bandwidth(part, bandwidth, relative) for part in (x, y))
    return rbf_cka_of(of_x, of_y, estimator)


def over_bandwidth(x: Float[Array, "n d"], bandwidth: float, relative: bool) -> Array:
    """X about its mean in units of the bandwidth: what one representation brings to ``rbf_cka``."""
    x = centred(x)
    if not relative:
        return x / bandwidth
    median = median_distance(x)
    return x / jnp.where(median > 0, bandwidth * median, jnp.nan)


def rbf_cka_of(x: Float[Array, "n p"], y: Float[Array, "n q"], estimator: str) -> Array:
    """``rbf_cka`` of two representations in units of their bandwidths."""
    return cka_of(_sums(x, y), estimator)


def _sums(x: Float[Array, "n p"], y: Float[Array, "n q"]) -> KernelSums:
    n = len(x)
    of_x, of_y = cloud_of(x), cloud_of(y)

    def of_row(x_row: Array, y_row: Array) -> tuple[Array, Array]:
        """Σ_j of k_ij − 1 and l_ij − 1, and of their products: centring takes the 1 away."""
        k = jnp.expm1(-of_x.distances(x_row) / 2)
        l = jnp.expm1(-of_y.distances(y_row) / 2)  # noqa: E741
        both = jnp.stack([k, l], axis=1)
        return jnp.sum(both, axis=0), _pairs(both)

    row_sums, inner = by_rows(of_row, x, y)
    # ⟨HKH, HLH⟩ = ΣKL − 2/n Σ_i r_i s_i − RS/n² with the totals R and S, and the row sums r_i and
    # s_i about their means. On the diagonal k_ii − 1 = 0.
    totals = jnp.sum(row_sums, axis=0)
    about = row_sums - totals[None, :] / n
    diagonal = -totals[None, :] / n**2 - 2 * about / n
    return KernelSums(
        n=jnp.asarray(n, x.dtype),
        traces=jnp.sum(diagonal, axis=0),
        inner=jnp.sum(inner, axis=0) - 2 / n * _pairs(about) - _pairs(totals[None, :]) / n**2,
        diagonal=_pairs(diagonal),
    )


def _pairs(columns: Float[Array, "n 2"]) -> Float[Array, " 3"]:
    """The products of the first column with the second, and of each with itself."""
    k, l = columns[:, 0], columns[:, 1]  # noqa: E741
    return jnp.stack([jnp.sum(k * l), jnp.sum(k * k), jnp.sum(l * l)])
