"""The curve of targets whose rows are permuted at random: p-values and quantiles."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Key

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import as_dtype, as_real_floats, as_target_numbers
from jaxalign._core.kinds import as_count, require_key
from jaxalign._core.known import is_concrete, known_values
from jaxalign._spectrum.finish import solved
from jaxalign._spectrum.routes.table import route_for
from jaxalign._spectrum.solve import solve
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment._measures import alignment_curve
from jaxalign.alignment._nulls import permutable

NUMBERS_AT_ONCE = 2**25
"""How many numbers of permuted targets are in memory at once: 256 MB in float64."""


class Permuted(NamedTuple):
    """A value, as a curve (t, k), and those of rows that were permuted at random. A pytree;
    p-values and quantiles of a batch are computed under vmap.

    Attributes:
      observed: (...) of the rows as they are.
      null: (draws, ...) of permuted ones.
    """

    observed: Float[Array, "..."]
    null: Float[Array, "draws ..."]

    @property
    def p_values(self) -> Float[Array, "..."]:
        """(1 + #{null ≥ observed})/(1 + draws), one-sided, for the hypothesis that the value is no
        greater than by chance. Of a curve, each is for its own τ. NaN where a value is NaN.
        """
        return _share_at_least(self.observed, self.null)

    @property
    def lower_p_values(self) -> Float[Array, "..."]:
        """(1 + #{null ≤ observed})/(1 + draws): for the hypothesis that the value is no smaller
        than by chance, of distances. NaN where a value is NaN.
        """
        return _share_at_least(-self.observed, -self.null)

    def quantiles(self, q: ArrayLike) -> Float[Array, "..."]:
        """Quantiles q of the null, at every threshold of a curve.

        Raises:
          ValueError: q not in [0, 1] (eager calls).
          TypeError: q that are not numbers.
        """
        shares = as_real_floats(q, "q")
        known = known_values(shares)
        if known is not None and not ((known >= 0) & (known <= 1)).all():
            raise ValueError(f"q must be shares in [0, 1], found {known}")
        return jnp.quantile(self.null, as_dtype(shares, self.null.dtype), axis=0)


def _share_at_least(observed: Array, null: Float[Array, "draws ..."]) -> Float[Array, "..."]:
    # Values within rounding count as equal: p is 1 where no permutation changes A (τ ≤ 0), or a
    # distance.
    size = jnp.maximum(jnp.abs(observed), jnp.max(jnp.abs(null), axis=0))
    slack = 100 * jnp.finfo(null.dtype).eps * size
    reached = jnp.sum(null >= (observed - slack)[None], axis=0)
    share = (1 + reached).astype(null.dtype) / (1 + null.shape[0])
    return jnp.where(jnp.isnan(size), jnp.nan, share)


def permutation_curves(
    features: ArrayLike, targets: ArrayLike, thresholds: ArrayLike, *, key: Array, draws: int
) -> Permuted:
    """``alignment_curve`` of the targets and of ``draws`` random permutations of their rows, which
    are solved as more columns of Y, 256 MB of them at a time.

    The k columns of Y are permuted together, so sums over them have the right null too.

    Args:
      features: (n, d) Φ.
      targets: (n, k) Y; (n,) floats count as one column.
      thresholds: (t,) values of τ, or one number.
      key: of ``jax.random.key``; the same key, the same permutations.
      draws: how many; the smallest p-value is 1/(1 + draws).

    Returns:
      Permuted: the observed curve (t, k) and the null's (draws, t, k), with ``p_values`` and
        ``quantiles(q)``.

    Raises:
      ValueError: no draws; fewer than two rows; as ``spectrum`` and ``alignment_curve``.
      TypeError: a key or draws of another kind.

    Example:
      >>> import jax
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> y = np.arange(8.0) - 3.5
      >>> curves = ja.permutation_curves(y[:, None], y, [0.0, 1.0], key=jax.random.key(0), draws=99)
      >>> curves.null.shape, curves.p_values.ravel().tolist()
      ((99, 2, 1), [1.0, 0.00999...])

    Source: ours; p-values as in Phipson and Smyth (2010).
    """
    draws = as_count(draws, "draws")
    require_key(key)
    phi = as_numbers(features, "features")
    y = as_target_numbers(targets, [phi])

    def curves_of(keys: Key[Array, " at_once"]) -> Float[Array, "*t columns"]:
        return alignment_curve(solved(_permuted_spectrum, phi, y, keys), thresholds)

    turns = _turns(jax.random.split(key, draws), y.size)
    curves = _in_turn(curves_of, turns, is_traced=not all(map(is_concrete, (phi, y, key))))
    at_once = turns.shape[1]
    k = curves.shape[-1] // (1 + at_once)
    null = curves[..., k:].reshape(*curves.shape[:-1], at_once, k)
    null = jnp.moveaxis(null, -2, 1)  # (turns, at_once, t, k)
    return Permuted(curves[0, ..., :k], null.reshape(-1, *null.shape[2:])[:draws])


def _turns(keys: Key[Array, " draws"], numbers: int) -> Key[Array, "turns at_once"]:
    """The keys, each of so many permuted numbers, in equal turns; the last one may repeat some."""
    draws = len(keys)
    at_once = min(max(NUMBERS_AT_ONCE // max(numbers, 1), 1), draws)
    turns = -(-draws // at_once)
    at_once = -(-draws // turns)
    repeated = keys[: turns * at_once - draws]
    return jnp.concatenate([keys, repeated]).reshape(turns, at_once)


def _in_turn(function: Callable[[Array], Array], turns: Array, *, is_traced: bool) -> Array:
    """``function`` of every turn, stacked; in a program as a loop."""
    if is_traced and len(turns) > 1:
        return jax.lax.map(function, turns)
    return jnp.stack([function(keys) for keys in turns])


def _permuted_spectrum(
    features: Array | np.ndarray, targets: Array | np.ndarray, keys: Key[Array, " draws"]
) -> Spectrum:
    """The spectrum of the targets and, as more columns of Y, of all their permutations."""
    phi, y = permutable(features, targets)
    orders = jax.vmap(lambda one: jax.random.permutation(one, len(y)))(keys)
    permuted = jnp.moveaxis(y[orders], 0, 1).reshape(len(y), -1)
    joint = jnp.concatenate([y, permuted], axis=1)
    return solve(phi, joint, route_for("auto", phi), centered=False)
