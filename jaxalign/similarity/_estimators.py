"""HSIC and CKA of two kernels from their sums: three estimators, which differ in what they do with
the diagonal.
"""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from jaxalign._core.kinds import require_choice
from jaxalign._core.known import is_concrete
from jaxalign._core.warn import warn
from jaxalign.similarity._kernel_sums import KernelSums

Estimator = Literal["biased", "debiased", "lange"]

# Sums that cancel to less than this share of themselves, in eps, are rounding.
_ROUNDING = 2.0**8

# A likeness that is more than rounding.
_UNLIKE = 1e-3

_LEAST_ROWS = {"biased": 2, "debiased": 4, "lange": 4}


class SimilarityWarning(UserWarning):
    """A similarity is NaN, since a representation is constant or has too few rows for it; or it is
    infinite, since its dtype does not hold it.
    """


def rows_for(estimator: str) -> int:
    """How many rows an estimator needs; an unknown one is refused."""
    require_choice(estimator, tuple(_LEAST_ROWS), "estimator")
    return _LEAST_ROWS[estimator]


def hsic_of(sums: KernelSums, estimator: str) -> Float[Array, " 3"]:
    """HSIC(K, L), HSIC(K, K) and HSIC(L, L)."""
    t = sums.traces
    products = jnp.stack([t[0] * t[1], t[0] ** 2, t[1] ** 2])
    return hsic_from(sums.n, sums.inner, products, sums.diagonal, estimator)


def hsic_from(
    n: Float[Array, ""],
    inner: Float[Array, "*shape"],
    traces: Float[Array, "*shape"],
    diagonal: Float[Array, "*shape"],
    estimator: str,
) -> Float[Array, "*shape"]:
    """HSIC of centred kernels: a linear function of ⟨K, L⟩, tr K tr L and Σ k_ii l_ii."""
    if estimator == "biased":
        return inner / (n - 1) ** 2
    without_diagonal = inner - diagonal
    if estimator == "lange":
        return without_diagonal / (n * (n - 3))
    # Song's U-statistic of kernels with the diagonal set to 0. In centred kernels, Σ_{j≠i} k_ij is
    # −k_ii, so its three sums are ⟨K, L⟩ − Σ k_ii l_ii, tr K tr L and Σ k_ii l_ii.
    of_sums = traces / ((n - 1) * (n - 2)) - 2 * diagonal / (n - 2)
    return (without_diagonal + of_sums) / (n * (n - 3))


def cka_of(sums: KernelSums, estimator: str) -> Float[Array, ""]:
    """HSIC(K, L)/√(HSIC(K, K) HSIC(L, L)); NaN where one of these two is not positive."""
    both, own, other = hsic_of(sums, estimator)
    # Of rows that are all equally far apart the estimate is 0, but for rounding.
    rounding = _ROUNDING * float(jnp.finfo(sums.n.dtype).eps) * sums.inner / sums.n**2
    is_defined = (own > rounding[1]) & (other > rounding[2])
    # The inner `where` keeps the root of a negative number out of derivatives.
    scale = jnp.sqrt(jnp.where(is_defined, own, 1)) * jnp.sqrt(jnp.where(is_defined, other, 1))
    return jnp.where(is_defined, both / scale, jnp.nan)


def held(value: Float[Array, ""], name: str, likeness: Callable[[], Array]) -> Array:
    """``value``; a 0 of an eager call that is one by underflow alone, as a ``likeness`` without a
    unit that is not 0 tells, comes with a warning.
    """
    if is_concrete(value) and float(value) == 0 and abs(float(likeness())) > _UNLIKE:
        warn(f"{name} is below {value.dtype}: divide x and y by a constant", SimilarityWarning)
    return value


def explained(value: Float[Array, ""], name: str, estimator: str = "biased") -> Array:
    """``value``; a NaN or an infinity of an eager call comes with a warning that says why."""
    if not is_concrete(value):
        return value
    values = np.asarray(value)
    if np.isinf(values).any():
        warn(f"{name} is beyond {values.dtype}: divide x and y by a constant", SimilarityWarning)
    if np.isnan(values).any():
        reason = (
            "x or y is constant over all rows but for rounding, or its squares are out of range"
        )
        if estimator != "biased":
            reason += f", or has too few rows: its own {estimator} HSIC is not above 0"
        warn(f"{name} is NaN: {reason}", SimilarityWarning)
    return value
