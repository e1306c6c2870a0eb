"""Strengths found by halving and by golden sections: a fixed number of steps, no derivatives."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxalign._core.loops import repeated

# Halvings of a range of log δ, at most 130 wide: to less than the rounding of float64.
_HALVINGS = 60
# Golden sections of two steps of the grid, to a relative 1e-8 of δ.
_SECTIONS = 36
_GOLDEN = (5**0.5 - 1) / 2


def root(
    function: Callable[[Array], Array], low: Float[Array, ""], high: Float[Array, ""]
) -> Float[Array, ""]:
    """Where an increasing function of δ in [low, high] passes 0, by halving log δ; an end where it
    does not.
    """

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        below, above = ends
        middle = jnp.sqrt(below) * jnp.sqrt(above)
        is_above = function(middle) > 0
        return jnp.where(is_above, below, middle), jnp.where(is_above, middle, above)

    return repeated(_HALVINGS, halve, (low, high))[1]


def grid(least: float, dtype: jnp.dtype) -> Float[Array, " g"]:
    """Strengths from one that no direction feels to one that shrinks all to nearly 0."""
    return jnp.geomspace(least, 1e8, 192, dtype=dtype)


def minimizer(
    function: Callable[[Array], Array],
    strengths: Float[Array, " g"],
    values: Float[Array, " g"],
) -> Float[Array, ""]:
    """The δ of the least value of a function: golden sections of log δ around the best of a grid.

    Args:
      function: of δ; inf where it has no value.
      strengths: the grid, ascending.
      values: of the function there.
    """
    best = jnp.argmin(values)
    logs = jnp.log(strengths)
    low = logs[jnp.maximum(best - 1, 0)]
    high = logs[jnp.minimum(best + 1, len(logs) - 1)]

    def section(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        width = _GOLDEN * (high - low)
        left, right = high - width, low + width
        # Left of the minimum the function may have no value, so inf on the left moves right.
        is_left = function(jnp.exp(left)) < function(jnp.exp(right))
        return jnp.where(is_left, low, left), jnp.where(is_left, right, high)

    low, high = repeated(_SECTIONS, section, (low, high))
    found = jnp.exp((low + high) / 2)
    return jnp.where(function(found) <= values[best], found, strengths[best])
