"""α-ReQ: how fast the eigenvalues of a representation decay."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxalign._core.kinds import as_count, found
from jaxalign._core.known import known_values
from jaxalign.geometry._effective_rank import Representation, singular_values


class PowerLaw(NamedTuple):
    """λ_i ≈ c·i^−α, fitted by least squares of log λ over log i.

    Attributes:
      alpha: α.
      r_squared: the share of the variance of log λ that the line explains; 1 where all λ are equal.
    """

    alpha: Float[Array, ""]
    r_squared: Float[Array, ""]


def alpha_req(
    features: Representation,
    *,
    ranks: tuple[int, int] = (11, 100),
    centered: bool | None = None,
) -> PowerLaw:
    """α of λ_i ≈ c·i^−α over a range of ranks i, and R² of the fit, of the eigenvalues λ of the
    covariance matrix.

    Least squares of log λ over log i with weights 1/i. α moves with the range: compare
    representations over the same ranks, and look at R².

    No labels take part. White noise of n ≫ d rows, what chance gives, has α near 0.

    Args:
      features: as in ``rankme``.
      ranks: the first and the last i of the fit; ranks above the numerical rank take no part.
      centered: about the mean, by default.

    Returns:
      PowerLaw; NaN where fewer than three ranks are left (traced).

    Raises:
      ValueError: as ``rankme``; a range of fewer than three ranks of the representation, or of
        fewer than three of its numerical rank (eager calls).

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> i = np.arange(1, 21)
      >>> x = np.eye(20) * i**-0.75  # λ_i = i^−1.5
      >>> law = ja.geometry.alpha_req(x, ranks=(3, 20), centered=False)
      >>> round(float(law.alpha), 3), round(float(law.r_squared), 3)
      (1.5, 1.0)

    Source: Agrawal et al. (NeurIPS 2022); weights and range of Stringer et al. (Nature 2019).
    """
    if not isinstance(ranks, tuple | list) or len(ranks) != 2:
        raise TypeError(f"ranks must be (first, last), found {found(ranks)}; pass ranks=(11, 100)")
    first, last = (as_count(rank, "ranks") for rank in ranks)
    sigma = singular_values(features, centered, default=True, what="alpha_req")
    last = min(last, len(sigma))
    if last - first < 2:
        raise ValueError(
            f"ranks must hold three of the {len(sigma)} of the representation at least, "
            f"found {ranks}; pass ranks=(1, {len(sigma)})"
        )
    i = jnp.arange(first, last + 1).astype(sigma.dtype)
    of_range = sigma[first - 1 : last]
    is_some = of_range > 0
    known = known_values(sigma)
    if known is not None and (known[first - 1 : last] > 0).sum() < 3:
        rank = (known > 0).sum()
        raise ValueError(
            f"ranks must hold three directions at least, found {ranks} of features of rank {rank}"
        )
    weights = jnp.where(is_some, 1 / i, 0)
    x = jnp.log(i)
    y = 2 * jnp.log(jnp.where(is_some, of_range, 1))

    def mean(values: Array) -> Array:
        return jnp.sum(weights * values) / jnp.sum(weights)

    dx = x - mean(x)
    dy = y - mean(y)
    slope = mean(dx * dy) / mean(dx**2)
    left = mean((dy - slope * dx) ** 2)
    variance = mean(dy**2)
    # Eigenvalues that are equal but for rounding have no variance left to explain.
    varies = variance > (2.0**8 * float(jnp.finfo(sigma.dtype).eps)) ** 2
    r_squared = 1 - jnp.where(varies, left / jnp.where(varies, variance, 1), 0)
    is_enough = jnp.sum(is_some) > 2
    return PowerLaw(*(jnp.where(is_enough, value, jnp.nan) for value in (-slope, r_squared)))
