"""The median distance between rows, in constant memory: by halving or by counting."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from jaxalign.similarity import _blocks
from jaxalign.similarity._blocks import by_rows, first_largest, squared_distances

# Thresholds of a pass over all pairs. The first ones are a factor apart, down to 16⁻³¹ of the
# largest distance; each further pass divides what is left by 32.
_THRESHOLDS = 31
_FACTOR = 16.0
_PASSES = 9
# Of the range of log distances, to less than their rounding. Below this share of the largest all
# count as 0.
_HALVINGS = 64
_LEAST = 1e-30


def median_distance(x: Float[Array, "n d"]) -> Float[Array, ""]:
    """The median of ‖x_i − x_j‖ over pairs i < j: the mean of the middle two of an even number.

    Both are found by counting how many distances are below thresholds, and looked up: the median is
    the distance of known pairs, which gives it the digits of a difference, and a derivative.
    """
    n = len(x)
    count = n * (n - 1) // 2
    fixed = jax.lax.stop_gradient(x)
    middle = jnp.array([(count + 1) // 2, count // 2 + 1], x.dtype)
    top = jax.vmap(lambda rank: _order_statistic(fixed, rank))(middle)
    pairs = jax.vmap(lambda bound: _pair_at(fixed, bound))(top)
    differences = x[pairs[:, 0]] - x[pairs[:, 1]]
    squares = jnp.sum(differences**2, axis=1)
    # The inner `where` keeps the root of 0 out of derivatives.
    distances = jnp.sqrt(jnp.where(squares > 0, squares, 1))
    return jnp.mean(jnp.where(squares > 0, distances, 0))


def _order_statistic(x: Float[Array, "n d"], rank: Float[Array, ""]) -> Float[Array, ""]:
    """A number at least as large as the ``rank``-th squared distance, and below the next larger
    one.
    """
    if len(x) ** 2 <= _blocks.AT_ONCE:
        return _halved(x, rank)
    squares = jnp.sum(x**2, axis=1)
    largest = 4 * jnp.max(squares)
    steps = jnp.arange(1, _THRESHOLDS + 1).astype(x.dtype)

    def narrowed(bracket: tuple[Array, Array], thresholds: Float[Array, " t"]) -> tuple:
        low, high = bracket
        counts = jnp.sum(by_rows(_counts(x, squares, thresholds), jnp.arange(len(x)), x), axis=0)
        reaches = counts >= rank
        high = jnp.min(jnp.where(reaches, thresholds, high))
        low = jnp.max(jnp.where(reaches, low, thresholds))
        return low, high

    def divided(bracket: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        low, high = bracket
        return narrowed(bracket, low + (high - low) * steps / (_THRESHOLDS + 1)), None

    start = (jnp.full_like(largest, -1), largest)
    geometric = jnp.concatenate([jnp.zeros(1, x.dtype), largest * _FACTOR ** -steps[:-1]])
    (_, high), _ = jax.lax.scan(divided, narrowed(start, geometric), length=_PASSES)
    return high


def _halved(x: Float[Array, "n d"], rank: Float[Array, ""]) -> Float[Array, ""]:
    """The same from all distances, which are in memory, by halving the range of their log."""
    squares = jnp.sum(x**2, axis=1)
    others = jnp.arange(len(x))

    def of_row(i: Array, row: Array) -> Float[Array, " n"]:
        return jnp.where(others > i, squared_distances(row, x, squares), jnp.inf)

    distances = by_rows(of_row, others, x)

    def halve(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = jnp.sqrt(low) * jnp.sqrt(high)
        reaches = jnp.sum((distances <= middle).astype(x.dtype)) >= rank
        return jnp.where(reaches, low, middle), jnp.where(reaches, middle, high)

    largest = 4 * jnp.max(squares)
    start = (largest * _LEAST, largest)
    high = jax.lax.fori_loop(0, _HALVINGS, halve, start)[1]
    # Another program may round a distance differently.
    return high * (1 + 16 * float(jnp.finfo(x.dtype).eps))


def _counts(x: Array, squares: Array, thresholds: Array):
    others = jnp.arange(len(x))

    def of_row(i: Array, row: Array) -> Float[Array, " t"]:
        distances = squared_distances(row, x, squares)
        is_below = (distances[:, None] <= thresholds[None, :]) & (others > i)[:, None]
        return jnp.sum(is_below, axis=0).astype(x.dtype)

    return of_row


def _pair_at(x: Float[Array, "n d"], bound: Float[Array, ""]) -> Int[Array, " 2"]:
    """(i, j) of the largest squared distance up to the bound."""
    squares = jnp.sum(x**2, axis=1)
    others = jnp.arange(len(x))

    def of_row(i: Array, row: Array) -> tuple[Array, Array]:
        distances = squared_distances(row, x, squares)
        candidates = jnp.where((distances <= bound) & (others > i), distances, -1)
        return first_largest(candidates)

    largest, partner = by_rows(of_row, others, x)
    _, i = first_largest(largest)
    return jnp.stack([i, partner[i]])
