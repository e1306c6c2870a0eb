"""The intrinsic dimension of a cloud of points, from the distances to their two nearest others."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import as_real_floats, is_concrete, require_finite, require_matrix
from jaxalign._core.float64 import exactly, of_jax_or_numpy
from jaxalign._core.kinds import require_number
from jaxalign._core.linalg import matmul

# Distances of a block of rows to all others are in memory at once.
_BLOCK = 256
# Nearest ones by products, of which the two nearest are chosen by differences: products round.
_CANDIDATES = 8


def two_nn(features: ArrayLike, *, discard: float = 0.1) -> Float[Array | np.ndarray, ""]:
    """The intrinsic dimension d: of the ratios μ = r_2/r_1 of distances to the two nearest others,
    −log(1 − F(μ)) = d log μ, fitted through 0 by least squares, F(μ_i) = i/n.

    Distances are taken in blocks of rows: no n×n matrix is held.

    No labels take part. Noise that fills d dimensions, what chance gives, has about d, and less
    where rows are few.

    Args:
      features: (n, d) of different points.
      discard: the share of the largest ratios that is left out.

    Returns:
      () d; NaN where points coincide (traced).

    Raises:
      ValueError: fewer than 5 points; points that coincide (eager calls), with how many: drop them,
        or add noise below what matters; features not finite; a share not in (0, 1).
      TypeError: features that are no numbers.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> plane = np.random.default_rng(0).random((500, 2))
      >>> round(float(ja.geometry.two_nn(plane @ np.eye(2, 10))), 1)
      2.1

    Source: Facco et al. (Scientific Reports 2017).
    """
    require_number(discard, "discard")
    if not 0 < discard < 1:
        raise ValueError(f"discard must be a share in (0, 1), found {discard}")
    return of_jax_or_numpy(exactly(partial(_checked, discard), as_numbers(features, "features")))


def _checked(discard: float, x: Array | np.ndarray) -> Float[Array, ""]:
    rows = as_real_floats(x, "features")
    require_matrix(rows, "features", "d")
    require_finite(rows, "features")
    if len(rows) < 5:
        raise ValueError(f"features must be of 5 points at least, found {len(rows)}")
    first, second = _two_nearest(rows)
    if is_concrete(first):
        equal = int(jnp.sum(first == 0))
        if equal:
            raise ValueError(
                f"features must be of different points, found {equal} of {len(rows)} that equal "
                "another; drop them"
            )
    return _dimension(first, second, round((1 - discard) * len(rows)))


@jax.jit
def _two_nearest(rows: Float[Array, "n d"]) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Squared distances to the two nearest others."""
    n = len(rows)
    centred = rows - jnp.mean(rows, axis=0, keepdims=True)
    # Ratios of distances have no unit, but squares may leave the range of their dtype.
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(centred)))
    centred = centred / jnp.where(size > 0, size, 1)
    squares = jnp.sum(centred**2, axis=1)
    count = min(_CANDIDATES, n - 1)
    missing = -n % _BLOCK
    numbers = jnp.pad(jnp.arange(n), (0, missing)).reshape(-1, min(_BLOCK, n + missing))

    def of_block(block: Array) -> tuple[Array, Array]:
        own = centred[block]
        distances = squares[None, :] - 2 * matmul(own, centred.T)
        distances = jnp.where(block[:, None] == jnp.arange(n)[None, :], jnp.inf, distances)
        _, near = jax.lax.top_k(-distances, count)
        exact = jnp.sum((centred[near] - own[:, None, :]) ** 2, axis=-1)
        least = jnp.sort(exact, axis=1)
        return least[:, 0], least[:, 1]

    first, second = jax.lax.map(of_block, numbers)
    return first.reshape(-1)[:n], second.reshape(-1)[:n]


@partial(jax.jit, static_argnames="kept")
def _dimension(first: Array, second: Array, kept: int) -> Float[Array, ""]:
    n = len(first)
    x = jnp.sort(jnp.log(second / first) / 2)[:kept]  # log μ of squared distances
    y = -jnp.log1p(-jnp.arange(1, kept + 1).astype(x.dtype) / n)
    return jnp.sum(x * y) / jnp.sum(x**2)
