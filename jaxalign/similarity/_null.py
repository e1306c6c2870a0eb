"""What linear CKA would be by chance: its distribution over permutations of the rows of y."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaincc
from jaxtyping import Float

from jaxalign._core.kinds import require_kind
from jaxalign._core.linalg import matmul
from jaxalign.similarity._estimators import Estimator, cka_of, explained, hsic_of, rows_for
from jaxalign.similarity._kernel_sums import KernelSums, unit_kernels
from jaxalign.similarity._pair_moments import PairMoments
from jaxalign.similarity._reading import Central, kernel_sums, read

LEAST_P_VALUE = 1e-3
"""Tails below this are not told by three moments."""

# The gamma distribution of a larger shape is a normal one.
_LARGEST_SHAPE = 1e4


class Null(NamedTuple):
    """What a measure would be by chance.

    Attributes:
      mean: () its mean; of a grid (a, b), as are the others.
      standard_deviation: () its deviation.
      p_value: () how likely chance is to give the value observed or more.
    """

    mean: Float[Array, "*grid"]
    standard_deviation: Float[Array, "*grid"]
    p_value: Float[Array, "*grid"]


def linear_cka_null(x: PairMoments, *, estimator: Estimator = "biased") -> Null:
    """The mean and the deviation of ``linear_cka`` over all n! permutations of the rows of y, both
    exact, and the p-value of what was observed.

    With the participation ratios PR = (tr XᵀX)²/‖XᵀX‖² the mean of the biased estimate is
    √(PR_x PR_y)/(n − 1); that of the debiased one is 0, and its deviation √(2/(n(n − 3))) whatever
    the data.

    Args:
      x: ``pair_moments(x, y)`` of n ≥ 4 rows.
      estimator: as in ``linear_cka``.

    Returns:
      Null(mean, standard_deviation, p_value). The p-value is the tail of a Pearson III (shifted
      gamma) distribution with these two moments and the skewness of many rows. It is approximate:
      of permutations, 4 to 5 % have p < 0.05, and 0.6 to 1.1 % p < 0.01. None is below 1e-3, where
      three moments tell too little: ``permutation_null`` goes on.

    Raises:
      ValueError: fewer than 4 rows; an unknown estimator; moments summed over different pivots by
        psum (eager calls).
      TypeError: no PairMoments.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> rows = np.random.default_rng(0).standard_normal((30, 5)).astype(np.float32)
      >>> m = similarity.pair_moments(rows[:, :3], rows[:, 2:])
      >>> null = similarity.linear_cka_null(m, estimator="debiased")
      >>> null.mean.item(), null.standard_deviation.item(), null.p_value.item()
      (0.0, 0.0496..., 0.001...)

    Source: mean and deviation as Kazi-Aoual et al. (1995) for the biased estimate; ours for the
      others, by the irreducible parts of symmetric matrices under permutations.
    """
    require_kind(x, PairMoments, "x", "pass pair_moments(x, y)")
    rows_for(estimator)
    description = read(_of_moments, x, estimator, least=4)
    explained(description.deviation, "linear_cka_null", estimator)
    return null_of(description)


class Description(NamedTuple):
    """A null distribution in numbers that float32 holds.

    Attributes:
      mean: () of the estimate.
      deviation: () of the estimate.
      excess: () by how many deviations the estimate exceeds the mean.
      shape: () of the gamma distribution of the same skewness.
    """

    mean: Float[Array, "*grid"]
    deviation: Float[Array, "*grid"]
    excess: Float[Array, "*grid"]
    shape: Float[Array, "*grid"]


def _of_moments(central: Central, estimator: str) -> Description:
    p = central.p
    grams = central.products[:p, :p], central.products[p:, p:]
    return described(kernel_sums(central), jnp.stack([cube(gram) for gram in grams]), estimator)


def described(sums: KernelSums, cubes: Float[Array, " 2"], estimator: str) -> Description:
    """The null of two kernels, of which ``cubes`` are the normalized third moments."""
    n = sums.n
    # Of kernels with ‖K‖ = 1, of which no product leaves the range.
    sums = unit_kernels(sums)
    traces = sums.traces[0] * sums.traces[1]
    # The estimate is Σ_ij of a product of entries without the diagonals, plus a multiple of that of
    # the diagonals; `excess` is the multiple of Σ κ_i λ_i, κ = k_ii − tr K/n, that rows which sum
    # to 0 make of both.
    if estimator == "biased":
        mean = traces / (n - 1)
        excess = n / (n - 2)
        norm = (n - 1) ** 2
    elif estimator == "lange":
        mean = traces / (n * (n - 1))
        excess = 2 / (n - 2)
        norm = n * (n - 3)
    else:
        mean = jnp.zeros_like(traces)
        excess = jnp.zeros_like(n)
        norm = n * (n - 3)
    # What is left when diagonal and row sums are gone has n(n − 3)/2 dimensions, which permutations
    # mix evenly: the variance is ‖U_x‖²‖U_y‖² over them. On the diagonals it is the one of Σ κ λ.
    unbiased = hsic_of(sums, "debiased")
    even = 2 * n * (n - 3) * unbiased[1] * unbiased[2]
    spreads = sums.diagonal[1:] - sums.traces**2 / n
    variance = even + excess**2 * spreads[0] * spreads[1] / (n - 1)
    own = hsic_of(sums, estimator)
    scale = norm * jnp.sqrt(own[1] * own[2])
    deviation = jnp.sqrt(variance) / scale
    excess = (cka_of(sums, estimator) - mean / scale) / deviation
    # For many rows the estimate is Σ_ij λ_i μ_j z_ij² of normal z: its skewness is
    # 8 Σλ³Σμ³/(2 Σλ²Σμ²)^{3/2}, and a gamma distribution of shape k has 2/√k.
    shape = 1 / (2 * (cubes[0] * cubes[1]) ** 2)
    return Description(mean / scale, deviation, excess, shape)


def cube(gram: Float[Array, "p p"]) -> Float[Array, ""]:
    """Σλ³/(Σλ²)^{3/2} of the eigenvalues λ of a kernel."""
    # Of kernels as large as 1: cubes of large ones would leave the range.
    unit = gram / jnp.linalg.norm(gram)
    return jnp.sum(matmul(unit, unit) * unit)


def null_of(description: Description) -> Null:
    """The null with its p-value."""
    mean, deviation, excess, shape = description
    return Null(mean, deviation, _tail(excess, shape))


@jax.jit
def _tail(excess: Float[Array, "*grid"], shape: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
    k = jnp.minimum(shape, _LARGEST_SHAPE)
    tail = gammaincc(k, jnp.maximum(k + excess * jnp.sqrt(k), 0))
    return jnp.maximum(tail, LEAST_P_VALUE)
