"""The intrinsic dimension of a cloud of points, from the distances to their two nearest others."""

from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import as_real_floats, require_finite, require_matrix
from jaxalign._core.clouds import cloud_of
from jaxalign._core.float64 import exactly, float64_with_derivative, of_jax_or_numpy
from jaxalign._core.kinds import as_known_number
from jaxalign._core.known import is_concrete
from jaxalign._core.linalg import centred

# Distances of a block of rows to all others are in memory at once.
_BLOCK = 256
# Nearest ones by products, of which the two nearest are chosen by differences: products round.
_CANDIDATES = 8
# Numbers of their rows that are copied at once: 32 MB of float64.
_COPIED = 1 << 22


def two_nn(features: ArrayLike, *, discard: float = 0.1) -> Float[Array | np.ndarray, ""]:
    """The intrinsic dimension d: of the ratios μ = r_2/r_1 of distances to the two nearest others,
    −log(1 − F(μ)) = d log μ, fitted through 0 by least squares, F(μ_i) = i/n.

    Distances are taken in blocks of rows: no n×n matrix is held.

    No labels take part. Noise that fills d dimensions, what chance gives, has about d, and less
    where rows are few.

    Args:
      features: (n, d) of different points.
      discard: the share of the largest ratios that is left out, the largest one in any case.

    Returns:
      () d, computed in float64; NaN where points coincide or are a grid (traced).

    Raises:
      ValueError: fewer than 5 points; points that coincide (eager calls), with how many: drop them,
        or add noise below what matters; points that are all as far from their second neighbour as
        from their first (eager calls); features not finite; a share not in (0, 1), or that leaves
        nothing.
      TypeError: features that are not numbers; a traced share.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> plane = np.random.default_rng(0).random((500, 2))
      >>> round(float(ja.geometry.two_nn(plane @ np.eye(2, 10))), 1)
      2.1

    Source: Facco et al. (Scientific Reports 2017).
    """
    share = as_known_number(discard, "discard")
    if not 0 < share < 1:
        raise ValueError(f"discard must be a share in (0, 1), found {share}")
    return of_jax_or_numpy(exactly(partial(_checked, share), as_numbers(features, "features")))


def _checked(discard: float, x: Array | np.ndarray) -> Float[Array, ""]:
    rows = as_real_floats(x, "features")
    require_matrix(rows, "features", "d")
    require_finite(rows, "features")
    if len(rows) < 5:
        raise ValueError(f"features must be of 5 points at least, found {len(rows)}")
    # Of the largest ratio, F = 1 has no logarithm.
    kept = min(round((1 - discard) * len(rows)), len(rows) - 1)
    if kept < 1:
        raise ValueError(
            f"discard must leave one of {len(rows)} ratios at least, found {discard}; pass 0.1"
        )
    dimension, equal = _dimension(kept)(rows)
    if is_concrete(equal) and int(equal):
        raise ValueError(
            f"features must be of different points, found {int(equal)} of {len(rows)} that equal "
            "another; drop them"
        )
    if is_concrete(dimension) and bool(jnp.isnan(dimension)):
        raise ValueError(
            "features must be at different distances, found each point as far from its second "
            "neighbour as from its first, as in a grid: they have no dimension"
        )
    return dimension


@cache
def _dimension(kept: int) -> Callable[[Array], tuple[Array, Array]]:
    """The dimension, and how many points equal another, in float64, compiled once."""
    return jax.jit(float64_with_derivative(partial(_fit, kept)))


def _fit(kept: int, rows: Float[Array, "n d"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    n = len(rows)
    first, second = _two_nearest(rows)
    equal = jnp.sum((first == 0).astype(rows.dtype))
    x = jnp.sort(jnp.log(second / first) / 2)[:kept]  # log μ of squared distances
    y = -jnp.log1p(-jnp.arange(1, kept + 1).astype(x.dtype) / n)
    # In a grid, ratios of 1 differ by rounding.
    is_grid = x[-1] <= 2.0**8 * float(jnp.finfo(x.dtype).eps)
    return jnp.where(is_grid, jnp.nan, jnp.sum(x * y) / jnp.sum(x**2)), equal


def _two_nearest(rows: Float[Array, "n d"]) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Squared distances to the two nearest others."""
    n = len(rows)
    about_mean = centred(rows)
    # Ratios of distances have no unit, but squares may leave the range of their dtype.
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(about_mean)))
    unit = jnp.where(size > 0, size, 1)
    cloud = cloud_of(about_mean / unit)
    count = min(_CANDIDATES, n - 1)
    block = max(1, min(_BLOCK, n, _COPIED // (count * rows.shape[1])))
    missing = -n % block
    numbers = jnp.pad(jnp.arange(n), (0, missing)).reshape(-1, block)

    def of_block(block: Array) -> tuple[Array, Array]:
        own = cloud.rows[block]
        distances = jax.vmap(cloud.distances)(own)
        distances = jnp.where(block[:, None] == jnp.arange(n)[None, :], jnp.inf, distances)
        # float32 orders them well enough, and several times as fast on a CPU.
        _, near = jax.lax.top_k(-distances.astype(jnp.float32), count)
        # Of the rows as they are: a compiler that scales them as part of a difference may round
        # one of the two alone, and then equal rows differ.
        differences = (rows[near] - rows[block][:, None, :]) / unit
        exact = jnp.sum(differences**2, axis=-1)
        least = jnp.sort(exact, axis=1)
        return least[:, 0], least[:, 1]

    # The derivative computes each block again, so that it takes no more memory.
    first, second = jax.lax.map(jax.checkpoint(of_block), numbers)
    return first.reshape(-1)[:n], second.reshape(-1)[:n]
