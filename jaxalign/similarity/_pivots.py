"""Sums Σ zzᵀ of pair moments about a pivot (p, q), moved to a common one where they are merged.

The powers 0, 1 and 2 of the pivot are summed as the products are, which tells whether sums of
several pivots were mixed.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from jaxalign._core.float64 import float64_inside
from jaxalign.similarity._augmented import ONE, moved, rounded_pivot


@partial(jax.jit, static_argnums=2)
def powers_of_mean(x: Array, y: Array, is_rounded: bool) -> Float[Array, "3 p+q"]:
    def run(x: Array, y: Array) -> Array:
        means = [jnp.mean(part.astype(jnp.float64), axis=0) for part in (x, y)]
        return _powers_of(jnp.concatenate(means), is_rounded)

    return float64_inside(run)(jax.lax.stop_gradient(x), jax.lax.stop_gradient(y))


@jax.jit
def powers_of_pivot(pivot: Array) -> Float[Array, "3 p+q"]:
    return float64_inside(lambda wide: _powers_of(wide.astype(jnp.float64)))(pivot)


def _powers_of(pivot: Float[Array, " w"], is_rounded: bool = True) -> Float[Array, "3 w"]:
    near = rounded_pivot(pivot) if is_rounded else pivot
    return jnp.stack([jnp.ones_like(near), near, near**2])


def pivot_of(powers: Float[Array, "*batch 3 w"]) -> Float[Array, "*batch w"]:
    return powers[..., 1, :] / powers[..., 0, :]


@partial(jax.jit, static_argnums=0)
def added(p: int, *parts: tuple[Array, Array]) -> tuple[Array, Array]:
    def run(*parts: tuple[Array, Array]) -> tuple[Array, Array]:
        counts = jnp.stack([products[ONE, ONE] for products, _ in parts])
        pivots = jnp.stack([pivot_of(powers) for _, powers in parts])
        common = _common(jnp.sum, counts, pivots)
        each = [_about(common, p, *part) for part in parts]
        return sum(each[1:], each[0]), _powers_of(common)

    return float64_inside(run)(*parts)


@partial(jax.jit, static_argnums=0)
def summed(p: int, products: Array, powers: Array) -> tuple[Array, Array]:
    def run(products: Array, powers: Array) -> tuple[Array, Array]:
        common = _common(jnp.sum, products[:, ONE, ONE], pivot_of(powers))
        each = jax.vmap(partial(_about, common, p))(products, powers)
        return jnp.sum(each, axis=0), _powers_of(common)

    return float64_inside(run)(products, powers)


def over(axis: str, p: int, products: Array, powers: Array) -> tuple[Array, Array]:
    def total(x: Array, axis: int = 0) -> Array:
        return over_devices(jnp.sum(x, axis=axis))

    over_devices = partial(jax.lax.psum, axis_name=axis)

    def run(products: Array, powers: Array) -> tuple[Array, Array]:
        common = _common(total, products[None, ONE, ONE], pivot_of(powers)[None])
        return over_devices(_about(common, p, products, powers)), _powers_of(common)

    return float64_inside(run)(products, powers)


def _common(
    total: Callable[..., Array], counts: Float[Array, " b"], pivots: Float[Array, "b w"]
) -> Float[Array, " w"]:
    """The mean of several pivots, each weighted by its rows. Pivots that are equal stay as they
    are: with so few digits, sums of them are exact.
    """
    return rounded_pivot(total(counts[:, None] * pivots, axis=0) / total(counts, axis=0))


def _about(common: Array, p: int, products: Array, powers: Array) -> Array:
    """Sums about another pivot; NaN where they are of several pivots."""
    return moved(products, common - pivot_of(powers), p) + _unknown(powers)


def _unknown(powers: Float[Array, "3 w"]) -> Array:
    return jnp.where(has_one_pivot(powers), 0, jnp.nan)


def has_one_pivot(powers: Float[Array | np.ndarray, "3 w"]) -> Array | np.bool:
    """() whether sums of parts are of parts with the same pivot: then (Σp)² = Σ1·Σp²."""
    count, pivots, squares = powers
    spread = count * squares - pivots**2
    # Pivots of 16 digits that differ leave 2⁻³² of the larger one's square, over the count.
    return (spread <= 2.0**-46 * count * squares).all()


def about_mean(products: Array, powers: Array, p: int) -> Float[Array, "w w"]:
    """Inside ``float64_inside``: the sums about the mean."""
    return moved(products, products[ONE, :ONE] / products[ONE, ONE], p) + _unknown(powers)
