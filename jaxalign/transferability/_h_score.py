"""The H-score: how much of the classes' indicators linear functions of the features explain."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.axes import on_automatic_axes
from jaxalign._core.checks import as_real_floats
from jaxalign._core.float64 import exactly, float64_with_derivative, of_jax_or_numpy
from jaxalign._core.kinds import require_flag
from jaxalign._core.linalg import matmul
from jaxalign._features import class_indicators
from jaxalign._spectrum.spectrum import spectrum
from jaxalign._spectrum.types import Spectrum


class HScore(NamedTuple):
    """An H-score and what chance gives.

    Attributes:
      value: H, from 0 to c − 1.
      chance: its mean over all permutations of the labels, exact.
      adjusted: (H − chance)/(c − 1 − chance): 0 by chance, 1 at most. NaN where the features tell
        all rows apart (rank n − 1), so that every labelling has the largest score, or where only
        one class has rows.
    """

    value: Float[Array, ""]
    chance: Float[Array, ""]
    adjusted: Float[Array, ""]


def h_score(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    shrinkage: bool = False,
    classes: Sequence | None = None,
) -> HScore:
    """H = tr(S⁻¹ S_B) = Σ_c (1/n_c) Σ_i (u_iᵀ 1_c)², with the covariance S of the features and S_B
    of their class means, and the left singular vectors u_i of the centred features.

    It grows with the rank: compare ``adjusted``.

    Args:
      features: (n, d).
      labels: (n,) classes.
      shrinkage: take (1 − a)S + a·tr(S)/d·I with the a of Ledoit and Wolf for S, and (1 − a)S_B for
        S_B; for n not far above d, or below.
      classes: all classes; required inside ``jit``. Only the c that have rows count.

    Returns:
      HScore.

    Raises:
      ValueError: as ``spectrum`` and ``encode_targets``.
      TypeError: features or labels of another kind.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> phi = np.random.default_rng(0).standard_normal((100, 5))
      >>> score = ja.transferability.h_score(phi, phi[:, 0] > 0)
      >>> round(float(score.value), 2), round(float(score.chance), 2)
      (0.64, 0.05)

    Source: Bao et al. (ICIP 2019); shrinkage of Ibrahim, Ponomareva, Mazumder (ECML 2022), with
      covariances over n; chance and adjusted are ours.
    """
    require_flag(shrinkage, "shrinkage")
    x = as_numbers(features, "features")
    indicators = class_indicators(labels, classes)
    s = spectrum(x, indicators, centered=True)
    weight = of_jax_or_numpy(exactly(_shrinkage, x)) if shrinkage else 0
    level = jnp.asarray(weight, s.singular_values.dtype)
    return on_automatic_axes(_score, s, indicators, level, x.shape[1])


def _shrinkage(features: Array | np.ndarray) -> Float[Array, ""]:
    """A of Ledoit and Wolf (J. Multivariate Analysis 2004)."""
    return float64_with_derivative(_shrinkage_of_rows)(as_real_floats(features, "features"))


@jax.jit
def _shrinkage_of_rows(features: Float[Array, "n d"]) -> Float[Array, ""]:
    n, d = features.shape
    # About a row of their own, sums keep the digits of rows far from 0.
    rows = features - features[:1]
    rows = rows - jnp.mean(rows, axis=0, keepdims=True)
    # The smaller Gram matrix has the same Σλ².
    gram = matmul(rows.T, rows) if d < n else matmul(rows, rows.T)
    squares = jnp.sum(gram**2) / n**2  # Σλ²
    trace = jnp.trace(gram) / n  # Σλ
    distance = (squares - trace**2 / d) / d
    noise = (jnp.mean(jnp.sum(rows**2, axis=1) ** 2) - squares) / (d * n)
    is_round = distance <= 0
    share = jnp.minimum(noise, distance) / jnp.where(is_round, 1, distance)
    return jnp.where(is_round, 0, share)


@jax.jit
def _score(s: Spectrum, indicators: Array, shrinkage: Array, d: int) -> HScore:
    sigma = s.singular_values
    dtype = sigma.dtype
    inside = jnp.arange(len(sigma), dtype=s.rank.dtype) < s.rank
    # In units of σ_1, whose square may leave the range of its dtype.
    squares = jnp.where(inside, (sigma / jnp.where(sigma[0] > 0, sigma[0], 1)) ** 2, 0)
    level = shrinkage * jnp.sum(squares) / d
    kept = (1 - shrinkage) * squares
    # The share of direction i that shrinkage leaves; 1 without any.
    share = jnp.where(inside, kept / jnp.where(inside, kept + level, 1), 0)
    per_class = jnp.sum(indicators, axis=0).astype(dtype)
    # Classes without rows have no part in it.
    has_rows = per_class > 0
    energy = jnp.where(inside[:, None] & has_rows[None, :], s.energy, 0)
    explained = jnp.sum(energy / jnp.where(has_rows, per_class, 1)[None, :], axis=1)
    value = jnp.sum(share * explained)
    # Over all permutations Σ_c e_ic/n_c has the mean (c − 1)/(n − 1), in each direction.
    largest = jnp.sum(has_rows.astype(dtype)) - 1
    chance = largest / (s.num_samples.astype(dtype) - 1) * jnp.sum(share)
    room = largest - chance
    is_room = room > largest * 1e-5
    adjusted = jnp.where(is_room, (value - chance) / jnp.where(is_room, room, 1), jnp.nan)
    return HScore(value, chance, adjusted)
