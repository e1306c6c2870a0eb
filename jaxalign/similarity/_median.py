"""The median distance between rows, in constant memory: by halving or by counting."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from jaxalign._core.clouds import Cloud, cloud_of
from jaxalign.similarity import _blocks
from jaxalign.similarity._blocks import by_rows, first_largest

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
    fixed = cloud_of(jax.lax.stop_gradient(x))
    middle = jnp.array([(count + 1) // 2, count // 2 + 1], x.dtype)
    top = jax.vmap(lambda rank: _order_statistic(fixed, rank))(middle)
    pairs = jax.vmap(lambda bound: _pair_at(fixed, bound))(top)
    differences = x[pairs[:, 0]] - x[pairs[:, 1]]
    squares = jnp.sum(differences**2, axis=1)
    # The inner `where` keeps the root of 0 out of derivatives.
    distances = jnp.sqrt(jnp.where(squares > 0, squares, 1))
    return jnp.mean(jnp.where(squares > 0, distances, 0))


def _order_statistic(cloud: Cloud, rank: Float[Array, ""]) -> Float[Array, ""]:
    """A number at least as large as the ``rank``-th squared distance, and below the next larger
    one.
    """
    x = cloud.rows
    if len(x) ** 2 <= _blocks.AT_ONCE:
        return _halved(cloud, rank)
    largest = 4 * jnp.max(cloud.squares)
    steps = jnp.arange(1, _THRESHOLDS + 1).astype(x.dtype)

    def narrowed(bracket: tuple[Array, Array], thresholds: Float[Array, " t"]) -> tuple:
        low, high = bracket
        counts = jnp.sum(by_rows(_counts(cloud, thresholds), jnp.arange(len(x)), x), axis=0)
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


def _halved(cloud: Cloud, rank: Float[Array, ""]) -> Float[Array, ""]:
    """The same from all distances, which are in memory, by halving the range of their log."""
    x = cloud.rows
    others = jnp.arange(len(x))

    def of_row(i: Array, row: Array) -> Float[Array, " n"]:
        return jnp.where(others > i, cloud.distances(row), jnp.inf)

    distances = by_rows(of_row, others, x)

    def halve(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = jnp.sqrt(low) * jnp.sqrt(high)
        reaches = jnp.sum((distances <= middle).astype(x.dtype)) >= rank
        return jnp.where(reaches, low, middle), jnp.where(reaches, middle, high)

    largest = 4 * jnp.max(cloud.squares)
    start = (largest * _LEAST, largest)
    high = jax.lax.fori_loop(0, _HALVINGS, halve, start)[1]
    # Another program may round a distance differently.
    return high * (1 + 16 * float(jnp.finfo(x.dtype).eps))


def _counts(cloud: Cloud, thresholds: Array):
    others = jnp.arange(len(cloud.rows))

    def of_row(i: Array, row: Array) -> Float[Array, " t"]:
        distances = cloud.distances(row)
        is_below = (distances[:, None] <= thresholds[None, :]) & (others > i)[:, None]
        return jnp.sum(is_below, axis=0).astype(row.dtype)

    return of_row


def _pair_at(cloud: Cloud, bound: Float[Array, ""]) -> Int[Array, " 2"]:
    """(i, j) of the largest squared distance up to the bound."""
    x = cloud.rows
    others = jnp.arange(len(x))

    def of_row(i: Array, row: Array) -> tuple[Array, Array]:
        distances = cloud.distances(row)
        candidates = jnp.where((distances <= bound) & (others > i), distances, -1)
        return first_largest(candidates)

    largest, partner = by_rows(of_row, others, x)
    _, i = first_largest(largest)
    return jnp.stack([i, partner[i]])
