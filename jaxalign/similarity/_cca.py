"""Similarities made of canonical correlations: their means, SVCCA and PWCCA."""

from functools import partial

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.derivatives import without_derivative
from jaxalign._core.kinds import as_known_number
from jaxalign._core.linalg import centred, matmul
from jaxalign.similarity._canonical import (
    Canonical,
    Settings,
    Space,
    correlations,
    of_products,
    of_rows,
    ranks,
)
from jaxalign.similarity._estimators import explained
from jaxalign.similarity._pair import precision_of
from jaxalign.similarity._pair_moments import PairMoments
from jaxalign.similarity._reading import Central, compared_or_read


def cca(x: ArrayLike | PairMoments, y: ArrayLike | None = None) -> Float[Array, " r"]:
    """The canonical correlations ρ_1 ≥ ρ_2 ≥ … of X and Y: the singular values of U_xᵀU_y, with
    orthonormal bases U of their column spaces about the mean.

    Invertible linear maps and shifts of either side change nothing. With p + q > n − 1 columns of
    full rank, p + q − n + 1 of them are 1 whatever the data. By chance (rows permuted) the mean of
    ρ² over min(p, q) is max(p, q)/(n − 1), exactly.

    Args:
      x: (n, p) of one representation, or PairMoments, alone.
      y: (n, q) of the other one, of the same rows.

    Returns:
      (r,) r = min(p, q, n − 1), of pair moments min(p, q): descending, 0 past the smaller rank, in
      the features' dtype. Pair moments hold directions with σ above 6e-8·σ_1 only.

    Raises:
      ValueError: x or y no matrix, empty, of one row, not finite (eager calls), of different n; y
        beside pair moments; pair moments summed over different pivots by psum (eager calls).
      TypeError: x or y no numbers.

    Example:
      >>> from jaxalign import similarity
      >>> x = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [1.0, 1.0], [-1.0, -1.0]]
      >>> y = [[2.0, 1.0], [1.0, -1.0], [-2.0, -1.0], [-1.0, -1.0], [3.0, 1.0], [-3.0, 1.0]]
      >>> similarity.cca(x, y).round(3).tolist()
      [1.0, 0.375...]

    Source: Hotelling (Biometrika 1936); Björck, Golub (Mathematics of Computation 1973).
    """
    return compared_or_read(_cca_of_rows, _cca_of_sums, x, y, settings_of(x, y))


def mean_cca(x: ArrayLike | PairMoments, y: ArrayLike | None = None) -> Float[Array, ""]:
    """The mean of the canonical correlations, Σρ/min(rank X, rank Y).

    By chance it is at most √(max(rank X, rank Y)/(n − 1)); for its mean and spread see
    ``permutation_null``.

    Args:
      x: as in ``cca``.
      y: as in ``cca``.

    Returns:
      () from 0 to 1; NaN where x or y is constant (with a SimilarityWarning in eager calls).

    Raises:
      as ``cca``.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> rows = np.random.default_rng(0).standard_normal((50, 4))
      >>> similarity.mean_cca(rows[:, :2], rows[:, 1:3]).round(2).item()
      0.5...

    Source: Raghu et al. (NeurIPS 2017); Kornblith et al. (ICML 2019), Eq. 8.
    """
    return _mean_of(1, "mean_cca", x, y)


def mean_squared_cca(x: ArrayLike | PairMoments, y: ArrayLike | None = None) -> Float[Array, ""]:
    """The mean of the squared canonical correlations, Σρ²/min(rank X, rank Y).

    By chance it is max(rank X, rank Y)/(n − 1), exactly (``mean_squared_cca_chance``).

    Args:
      x: as in ``cca``.
      y: as in ``cca``.

    Returns:
      () from 0 to 1; NaN where x or y is constant (with a SimilarityWarning in eager calls).

    Raises:
      as ``cca``.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> rows = np.random.default_rng(0).standard_normal((50, 4))
      >>> similarity.mean_squared_cca(rows[:, :2], rows[:, 1:3]).round(2).item()
      0.5...

    Source: Kornblith et al. (ICML 2019), Eq. 7.
    """
    return _mean_of(2, "mean_squared_cca", x, y)


def svcca(
    x: ArrayLike | PairMoments, y: ArrayLike | None = None, *, variance: float = 0.99
) -> Float[Array, ""]:
    """``mean_cca`` of the leading singular directions of X and of Y, as few as hold the share
    ``variance`` of Σσ².

    The shares are those of the variance σ²; some programs cut on σ, and keep more. Chance is
    that of ``mean_cca`` with as many directions as are kept.

    Args:
      x: as in ``cca``.
      y: as in ``cca``.
      variance: above 0, up to 1, which keeps all.

    Returns:
      () from 0 to 1; NaN where x or y is constant (with a SimilarityWarning in eager calls).

    Raises:
      ValueError: as ``cca``; a variance out of range.
      TypeError: as ``cca``; a variance that is not a number.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> rows = np.random.default_rng(0).standard_normal((50, 4)) * [1, 9, 9, 1]
      >>> similarity.svcca(rows[:, :2], rows[:, 1:3], variance=0.9).round(2).item()
      1.0

    Source: Raghu, Gilmer, Yosinski, Sohl-Dickstein (NeurIPS 2017).
    """
    share = as_known_number(variance, "variance")
    if not 0 < share <= 1:
        raise ValueError(f"variance must be above 0 and at most 1, found {share}")
    return _mean_of(1, "svcca", x, y, share)


def pwcca(x: ArrayLike | PairMoments, y: ArrayLike | None = None) -> Float[Array, ""]:
    """The mean of the canonical correlations, each weighted by how much of X its variate h_i
    accounts for: Σ α_i ρ_i/Σ α_i, α_i = Σ_j |h_iᵀx_j| over the columns of X.

    The weights are those of x: exchanging x and y gives another number. Programs differ here; this
    is the paper's formula. Variates of equal correlations are any basis of their space, and so are
    their weights. For chance see ``permutation_null``. It has no derivative.

    Args:
      x: as in ``cca``.
      y: as in ``cca``.

    Returns:
      () from 0 to 1; NaN where x or y is constant (with a SimilarityWarning in eager calls).

    Raises:
      ValueError: as ``cca``.
      TypeError: as ``cca``; when differentiated.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> rows = np.random.default_rng(0).standard_normal((50, 4)) * [1, 9, 9, 1]
      >>> similarity.pwcca(rows[:, :2], rows[:, 1:3]).round(2).item()
      0.8...

    Source: Morcos, Raghu, Bengio (NeurIPS 2018), Eqs. 2 and 3.
    """
    value = compared_or_read(_pwcca_of_rows, _pwcca_of_sums, x, y, settings_of(x, y))
    return explained(value, "pwcca")


def settings_of(x, y, variance: float = 1.0) -> Settings:
    if isinstance(x, PairMoments) or y is None:
        precision = getattr(x, "precision", "float32")
    else:
        precision = precision_of(as_numbers(x, "x"), as_numbers(y, "y"))
    return Settings(precision, variance)


def _mean_of(power: int, name: str, x, y, variance: float = 1.0) -> Array:
    settings = settings_of(x, y, variance)
    return explained(compared_or_read(_mean_of_rows, _mean_of_sums, x, y, settings, power), name)


def _cca_of_rows(x: Array, y: Array, settings: Settings) -> Array:
    found = correlations(centred(x), centred(y), settings)[0]
    return found[: len(x) - 1]


def _cca_of_sums(central: Central, settings: Settings) -> Array:
    return of_products(central, settings)[0].correlations


def _mean_of_rows(x: Array, y: Array, settings: Settings, power: int) -> Array:
    found, of_both = correlations(centred(x), centred(y), settings)
    return _mean(found, of_both, power)


def _mean_of_sums(central: Central, settings: Settings, power: int) -> Array:
    canonical, x, y = of_products(central, settings)
    return _mean(canonical.correlations, ranks(x, y), power)


def _mean(found: Float[Array, " m"], of_both: Float[Array, " 2"], power: int) -> Array:
    count = of_both.min()
    mean = jnp.sum(found**power) / jnp.where(count > 0, count, 1)
    return jnp.where(count > 0, mean, jnp.nan)


def _pwcca_of_rows(x: Array, y: Array, settings: Settings) -> Array:
    return _weighted(centred(x), centred(y), settings)


_REASON = "pwcca has no derivative; differentiate mean_cca or mean_squared_cca"


@partial(without_derivative, reason=_REASON, static=(2,))
def _weighted(x: Array, y: Array, settings: Settings) -> Array:
    canonical, x_space, y_space = of_rows(x, y, settings)
    return _projection_weighted(canonical, x_space, y_space)


def _pwcca_of_sums(central: Central, settings: Settings) -> Array:
    return _projection_weighted(*of_products(central, settings))


def _projection_weighted(canonical: Canonical, x: Space, y: Space) -> Array:
    # h_iᵀX = L_iᵀ diag(σ) Vᵀ.
    along = matmul(canonical.left.T, x.sigma[:, None] * x.right.T)
    # Past the smaller rank there are no variates.
    is_variate = jnp.arange(len(along), dtype=along.dtype) < ranks(x, y).min()
    weights = jnp.where(is_variate, jnp.sum(jnp.abs(along), axis=1), 0)
    total = jnp.sum(weights)
    mean = jnp.sum(weights * canonical.correlations) / jnp.where(total > 0, total, 1)
    return jnp.where(total > 0, mean, jnp.nan)
