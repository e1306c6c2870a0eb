"""Products of matrices without rounding and without float64: columns in fixed point, cut into
digits of 8 bits, which are multiplied and summed as integers.

The result is that of the columns rounded to 39 bits of their largest entry, exactly: a Gram matrix
stays positive semidefinite, and no order of summation, block of rows or number of devices changes a
bit of it. Digits take more memory than what they are of: there are those of one block of rows at a
time.

Source: ours, on the error-free transformation of Ozaki, Ogita, Oishi, Rump (2012).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from jaxalign._core.expansions import Expansion, power_of_two, renormalized, two_sum
from jaxalign._core.loops import scan
from jaxalign._spectrum.row_blocks import fold, mapped

# Orders of products of digits that are kept.
_ORDERS = 9
# Sums of 9 products of digits, each up to 2^14, of this many rows, over 2^16 stay in int32.
MOST_ROWS = 1 << 29


class Table(NamedTuple):
    """A matrix X (n, d) whose rows are computed from other rows when they are needed."""

    rows: Any  # arrays of n rows
    expand: Callable[[Any], Expansion]  # some of these rows to the same rows of X


class Digits(NamedTuple):
    """A matrix X (n, d) in fixed point: X_ij = scale_j·2⁻⁷·Σ_s digits_sij·256⁻ˢ, see ``digit``."""

    rows: Any  # arrays of n rows
    # h of these rows to their digits, three in an int32; of rows that are not new all are 0.
    cut: Callable[[Any, Bool[Array, " h"]], Int[Array, "words h d"]]
    scale: Float[Array, " d"]  # float32 powers of two; NaN for a column that is not finite


# Jitted, here and below: a program uses it many times, and traces and lowers it once.
@jax.jit
def scales(top: Float[Array, " d"]) -> Float[Array, " d"]:
    """Powers of two of at least twice ``top``, the largest |x| of each column."""
    _, exponent = jnp.frexp(top)
    scale = power_of_two(jnp.where(top > 0, jnp.clip(exponent + 1, -126, 126), -126))
    return jnp.where(jnp.isfinite(top), scale, jnp.nan)


def largest(x: Float[Array, "n d"], axes: tuple[str, ...] = ()) -> Float[Array, " d"]:
    """The largest |x| of each column, over all devices along mesh axes."""
    top = jnp.max(jnp.abs(x), axis=0)
    return over_devices(lax.pmax, top, axes)


def over_devices(collective: Callable[..., Any], x: Any, axes: tuple[str, ...]) -> Any:
    """``collective(x, axes)``. Over no axes, which ``shard_map`` refuses, it is x."""
    return collective(x, axes) if axes else x


def table_of(x: Expansion) -> Table:
    """A matrix that is in memory."""
    return Table(x, _as_it_is)


def _as_it_is(x: Expansion) -> Expansion:
    return x


def digits_of(table: Table, *, words: int = 1, axes: tuple[str, ...] = ()) -> Digits:
    """X (n, d), |x| up to 2^125, to 15 + 24·words bits below the scale of each column, which all
    devices along mesh axes agree on.
    """
    # Compilers compute the rows one by one inside this maximum, and keep none of them.
    scale = scales(largest(table.expand(table.rows)[0], axes))

    def cut(rows: Any, is_new: Bool[Array, " h"]) -> Int[Array, "words h d"]:
        x = tuple(jnp.where(is_new[:, None], part, 0) for part in table.expand(rows))
        return _cut(x, scale, words)

    return Digits(table.rows, cut, scale)


def beside(left: Digits, right: Digits) -> Digits:
    """The columns of both."""

    def cut(rows: Any, is_new: Bool[Array, " h"]) -> Int[Array, "words h d"]:
        return jnp.concatenate([left.cut(rows[0], is_new), right.cut(rows[1], is_new)], axis=2)

    scale = jnp.concatenate([left.scale, right.scale])
    return Digits((left.rows, right.rows), cut, scale)


@partial(jax.jit, static_argnames="words")
def _cut(x: Expansion, scale: Float[Array, " d"], words: int) -> Int[Array, "w n d"]:
    rest = tuple(part / scale[None, :] for part in x)  # |rest| ≤ 1/2
    integers = []
    for bits in (15, *[24] * words):
        rest = renormalized(tuple(part * 2.0**bits for part in rest), len(rest))
        whole = jnp.round(rest[0])
        integers.append(whole.astype(jnp.int32))
        rest = (rest[0] - whole, *rest[1:])
    carry = jnp.zeros_like(integers[0])
    for place in reversed(range(words + 1)):
        # With 128 added at each digit, digits from −128 to 127 are plain bytes.
        integers[place] = integers[place] + carry + 0x808080
        carry = integers[place] >> 24
    return jnp.stack(integers)


def digit(words: Int[Array, "w n d"], s: Int[Array, ""] | int) -> Int[Array, "n d"]:
    """The digits of one order. The first word has two, the others three."""
    word = lax.dynamic_index_in_dim(words, (s + 1) // 3, keepdims=False)
    return (((word >> (16 - 8 * ((s + 1) % 3))) & 255) - 128).astype(jnp.int8)


def product(
    left: Digits, right: Digits, *, axes: tuple[str, ...] = (), parts: int = 2
) -> Expansion:
    """LᵀR (p, q) of L (n, p) and R (n, q), exactly up to ``parts`` float32, or to 72 bits of both
    scales; over the rows of all devices along mesh axes.
    """

    def of_block(rows: tuple, is_new: Bool[Array, " h"]) -> Int[Array, "o p q"]:
        return _by_order(left.cut(rows[0], is_new), right.cut(rows[1], is_new))

    total = _sum_of_blocks(of_block, (left.rows, right.rows), axes)
    # Powers of two: exact, one after the other.
    scaled = tuple(part * left.scale[:, None] * right.scale[None, :] for part in total)
    return renormalized(scaled, parts)


def squares(x: Digits, axes: tuple[str, ...] = (), parts: int = 2) -> Expansion:
    """Σ_i X_ij² (d,)."""

    def of_block(rows: Any, is_new: Bool[Array, " h"]) -> Int[Array, "o d"]:
        columns = x.cut(rows, is_new)[..., None]
        return jax.vmap(_by_order, in_axes=2, out_axes=1)(columns, columns)[:, :, 0, 0]

    total = _sum_of_blocks(of_block, x.rows, axes)
    return renormalized(tuple(part * x.scale * x.scale for part in total), parts)


def rows_times(rows: Table, matrix: Expansion, words: int = 1) -> Expansion:
    """X M of X (n, m) and M (m, r) to two parts, in fixed point for each row and each column."""
    digits = digits_of(table_of(matrix), words=words)

    def times(block: Any) -> Expansion:
        columns = tuple(part.T for part in rows.expand(block))
        return product(digits_of(table_of(columns), words=words), digits)

    return mapped(times, rows.rows)


def _sum_of_blocks(
    of_block: Callable[[Any, Bool[Array, " h"]], Array],
    rows: Any,
    axes: tuple[str, ...],
) -> Expansion:
    """Σ_order Σ_blocks of_block(rows)_order·2⁻¹⁴·256^(−order) to three parts, over all devices."""
    devices = math.prod(lax.axis_size(axis) for axis in axes)
    count = len(jax.tree.leaves(rows)[0]) * devices
    if count > MOST_ROWS:
        raise ValueError(
            f"sums of int32 hold {MOST_ROWS} rows, found {count}; add moments of parts of them"
        )

    def add(limbs: tuple, block: Any, is_new: Bool[Array, " h"]) -> tuple:
        high, low = _halves(of_block(block, is_new))
        carry, low = _halves(limbs[1] + low)
        return limbs[0] + high + carry, low

    like = jax.eval_shape(of_block, rows, jax.ShapeDtypeStruct((count // devices,), bool))
    zero = jnp.zeros(like.shape, jnp.int32)
    limbs = fold(add, (zero, zero), rows)
    return _sum_of_orders(*over_devices(lax.psum, limbs, axes))


@jax.jit
def _by_order(left: Int[Array, "v n p"], right: Int[Array, "w n q"]) -> Int[Array, "o p q"]:
    """Σ_{i+j=order} left_iᵀ right_j of their digits, in int32."""
    counts = [3 * len(words) - 1 for words in (left, right)]
    pairs = np.indices(counts, np.int32).reshape(2, -1)
    pairs = pairs[:, pairs.sum(axis=0) < _ORDERS]

    # One pair of digits at a time: a compiler of accelerators takes long for a product.
    def add(total: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        i, j = pair
        new = lax.dot_general(
            digit(left, i),
            digit(right, j),
            (((0,), (0,)), ((), ())),
            preferred_element_type=jnp.int32,
        )
        new = new + lax.dynamic_index_in_dim(total, i + j, keepdims=False)
        return lax.dynamic_update_index_in_dim(total, new, i + j, 0), None

    orders = min(sum(counts) - 1, _ORDERS)
    zero = jnp.zeros((orders, left.shape[2], right.shape[2]), jnp.int32)
    return scan(add, zero, (pairs[0], pairs[1]))[0]


@jax.jit
def _sum_of_orders(high: Array, low: Array) -> Expansion:
    """Σ_order (2¹⁶·high + low)·2⁻¹⁴·256^(−order) to three parts."""

    def add(total: Expansion, order: tuple[Array, Array, Array]) -> tuple[Expansion, None]:
        high, low, place = order
        carry, low = _halves(low)
        # 16 bits each, which float32 holds.
        for part, factor in zip((*_halves(high + carry), low), (2.0**18, 4, 2.0**-14), strict=True):
            term = part.astype(jnp.float32) * (factor * place)
            first, lost = two_sum(total[0], term)
            second, lost = two_sum(total[1], lost)
            total = (first, second, total[2] + lost)
        return total, None

    zero = jnp.zeros(high.shape[1:], jnp.float32)
    nothing: Expansion = (zero, zero, zero)
    places = jnp.asarray(256.0 ** -np.arange(len(high)), jnp.float32)
    return scan(add, nothing, (high, low, places))[0]


def _halves(value: Int[Array, "*shape"]) -> tuple[Array, Array]:
    """(high, low) with value = 2¹⁶·high + low and −2¹⁵ ≤ low < 2¹⁵: no high part cancels a low."""
    high = (value + 0x8000) >> 16
    return high, value - (high << 16)
