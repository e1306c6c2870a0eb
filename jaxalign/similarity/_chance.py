"""Means over all permutations of the rows that have a closed form: neighbours and correlations."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.kinds import as_count
from jaxalign._core.linalg import centred
from jaxalign.similarity._canonical import Settings, ranks, space_of_gram, space_of_rows
from jaxalign.similarity._cca import settings_of
from jaxalign.similarity._estimators import explained
from jaxalign.similarity._pair_moments import PairMoments
from jaxalign.similarity._reading import Central, compared_or_read


def mutual_knn_chance(num_samples: int, *, k: int = 10) -> float:
    """k/(n − 1): the mean of ``mutual_knn`` over all n! permutations of the rows, exact whatever
    the data.

    Args:
      num_samples: n.
      k: number of neighbours, below n.

    Returns:
      A number from 0 to 1.

    Raises:
      ValueError: k < 1 or k ≥ n.
      TypeError: n or k no whole numbers.

    Example:
      >>> from jaxalign import similarity
      >>> similarity.mutual_knn_chance(101, k=10)
      0.1

    Source: ours; a row's neighbours are as likely as any k of the n − 1 others.
    """
    count = as_count(k, "k")
    n = as_count(num_samples, "num_samples", least=2)
    if count >= n:
        raise ValueError(f"k must be below the number of rows, found k = {count} of {n} rows")
    return count / (n - 1)


def mean_squared_cca_chance(
    x: ArrayLike | PairMoments, y: ArrayLike | None = None
) -> Float[Array, ""]:
    """max(rank X, rank Y)/(n − 1): the mean of ``mean_squared_cca`` over all n! permutations of the
    rows, exact, with the ranks of X and Y about their means.

    Args:
      x: as in ``cca``.
      y: as in ``cca``.

    Returns:
      () in the features' dtype; 1 where one of them has n − 1 columns of full rank, so that every
      order of rows has the largest similarity; NaN where x or y is constant (with a
      SimilarityWarning in eager calls).

    Raises:
      as ``cca``.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> rows = np.random.default_rng(0).standard_normal((51, 8))
      >>> similarity.mean_squared_cca_chance(rows[:, :3], rows[:, 3:]).round(3).item()
      0.1...

    Source: ours; E‖U_xᵀPU_y‖² = rank X · rank Y/(n − 1) over permutations P.
    """
    value = compared_or_read(_of_rows, _of_sums, x, y, settings_of(x, y))
    return explained(value, "mean_squared_cca_chance")


def _of_rows(x: Array, y: Array, settings: Settings) -> Array:
    x_space, y_space = (space_of_rows(centred(part), settings)[0] for part in (x, y))
    # Ranks are counted also of NaN, which is carried on.
    n = len(x) + 0 * (x_space.sigma[0] + y_space.sigma[0])
    return _largest_share(ranks(x_space, y_space), n)


def _of_sums(central: Central, settings: Settings) -> Array:
    p = central.p
    grams = central.products[:p, :p], central.products[p:, p:]
    return _largest_share(
        ranks(*(space_of_gram(gram, central.n, settings) for gram in grams)), central.n
    )


def _largest_share(of_both: Float[Array, " 2"], n: Float[Array, ""]) -> Array:
    return jnp.where(of_both.min() > 0, of_both.max() / (n - 1), jnp.nan)
