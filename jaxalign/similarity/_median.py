"""The median distance between rows, in constant memory: by halving, by digits or by counting."""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int

from jaxalign._core.clouds import Cloud, cloud_of
from jaxalign._core.loops import scan
from jaxalign.similarity import _blocks
from jaxalign.similarity._blocks import by_rows, first_largest

# Of the range of log distances, to less than their rounding. Below this share of the largest all
# count as 0.
_HALVINGS = 64
_LEAST = 1e-30
# So many distances stay in the cache of a CPU.
_IN_CACHE = 1 << 20
# Bits of a distance that a pass over all pairs finds.
_DIGIT = 16
# Thresholds of a pass over all pairs. The first ones are a factor apart, down to 16⁻³¹ of the
# largest distance; each further pass divides what is left by 32.
_THRESHOLDS = 31
_FACTOR = 16.0
_PASSES = 9


def median_distance(x: Float[Array, "n d"]) -> Float[Array, ""]:
    """The median of ‖x_i − x_j‖ over pairs i < j: the mean of the middle two of an even number.

    Both are found by counting how many distances are smaller, and looked up: the median is the
    distance of known pairs, which gives it the digits of a difference, and a derivative.
    """
    n = len(x)
    count = n * (n - 1) // 2
    fixed = cloud_of(lax.stop_gradient(x))
    lower = _order_statistic(fixed, jnp.asarray((count + 1) // 2, x.dtype))
    pairs = _pairs_at(fixed, lower, count // 2 + 1)
    differences = x[pairs[:, 0]] - x[pairs[:, 1]]
    squares = jnp.sum(differences**2, axis=1)
    # The inner `where` keeps the root of 0 out of derivatives.
    distances = jnp.sqrt(jnp.where(squares > 0, squares, 1))
    return jnp.mean(jnp.where(squares > 0, distances, 0))


def _order_statistic(cloud: Cloud, rank: Float[Array, ""]) -> Float[Array, ""]:
    """A number at least as large as the ``rank``-th squared distance, and below the next larger
    one.
    """
    entries = len(cloud.rows) ** 2
    if entries <= _IN_CACHE:
        return _by_halving(cloud, rank)
    by_comparing = _by_halving if entries <= _blocks.AT_ONCE else _by_thresholds
    # A CPU adds to places in memory faster than it compares; on a TPU it is the other way round.
    return lax.platform_dependent(cloud, rank, cpu=_by_digits, default=by_comparing)


def _by_halving(cloud: Cloud, rank: Float[Array, ""]) -> Float[Array, ""]:
    """From all distances, which are in memory, by halving the range of their log."""
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
    return _rounded_up(lax.fori_loop(0, _HALVINGS, halve, start)[1])


def _rounded_up(distance: Float[Array, ""]) -> Float[Array, ""]:
    """Another program may round a distance differently."""
    return distance * (1 + 16 * float(jnp.finfo(distance.dtype).eps))


def _by_digits(cloud: Cloud, rank: Float[Array, ""]) -> Float[Array, ""]:
    """One digit after the other, from the highest: bits of numbers that are not negative are
    ordered as the numbers.
    """
    x = cloud.rows
    width = jnp.finfo(x.dtype).bits
    whole = jnp.dtype(f"uint{width}")
    others = jnp.arange(len(x))
    # The last row comes before no other, so that it may fill the last block.
    size = min(len(x), max(1, _blocks.AT_ONCE // len(x)))
    blocks = jnp.minimum(jnp.arange(-(-len(x) // size) * size), len(x) - 1).reshape(-1, size)

    def digit(found: tuple[Array, Array], shift: Array) -> tuple[tuple[Array, Array], None]:
        known, rank = found

        def add(counts: Float[Array, " digits"], block: Int[Array, " rows"]) -> tuple:
            distances = jnp.abs(jax.vmap(cloud.distances)(x[block]))  # no −0
            # Bits that begin otherwise give more than a digit, which is counted nowhere.
            digits = (lax.bitcast_convert_type(distances, whole) ^ known) >> shift
            is_pair = others[None, :] > block[:, None]
            places = jnp.where(is_pair, jnp.minimum(digits, 1 << _DIGIT), 1 << _DIGIT)
            return counts.at[places.astype(jnp.int32)].add(1, mode="drop"), None

        counts, _ = scan(add, jnp.zeros(1 << _DIGIT, x.dtype), blocks)
        upto = jnp.cumsum(counts)
        is_below = upto < rank
        found_digit = jnp.sum(is_below).astype(whole)
        return (known | found_digit << shift, rank - jnp.max(jnp.where(is_below, upto, 0))), None

    shifts = jnp.arange(width - _DIGIT, -1, -_DIGIT).astype(whole)
    (bits, _), _ = scan(digit, (jnp.zeros((), whole), rank), shifts)
    return _rounded_up(lax.bitcast_convert_type(bits, x.dtype))


def _by_thresholds(cloud: Cloud, rank: Float[Array, ""]) -> Float[Array, ""]:
    """By counting how many distances each of some thresholds reaches, between the two nearest of
    which the next ones are.
    """
    x = cloud.rows
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
    (_, high), _ = lax.scan(divided, narrowed(start, geometric), length=_PASSES)
    return high


def _counts(cloud: Cloud, thresholds: Array):
    others = jnp.arange(len(cloud.rows))

    def of_row(i: Array, row: Array) -> Float[Array, " t"]:
        distances = cloud.distances(row)
        is_below = (distances[:, None] <= thresholds[None, :]) & (others > i)[:, None]
        return jnp.sum(is_below, axis=0).astype(row.dtype)

    return of_row


def _pairs_at(cloud: Cloud, bound: Float[Array, ""], rank: int) -> Int[Array, "2 2"]:
    """(i, j) of the largest squared distance up to the bound, and of the ``rank``-th one: the same,
    or the next larger one.
    """
    x = cloud.rows
    others = jnp.arange(len(x))

    def of_row(i: Array, row: Array) -> tuple[tuple[Array, Array], tuple[Array, Array], Array]:
        distances = cloud.distances(row)
        is_below = (distances <= bound) & (others > i)
        is_above = (distances > bound) & (others > i)
        count = jnp.sum(is_below).astype(row.dtype)
        below = first_largest(jnp.where(is_below, distances, -1))
        return below, first_largest(jnp.where(is_above, -distances, -jnp.inf)), count

    *sides, counts = by_rows(of_row, others, x)
    lower, upper = (_pair_of(*side) for side in sides)
    return jnp.stack([lower, jnp.where(jnp.sum(counts) >= rank, lower, upper)])


def _pair_of(largest: Float[Array, " n"], partners: Int[Array, " n"]) -> Int[Array, " 2"]:
    _, i = first_largest(largest)
    return jnp.stack([i, partners[i]])
