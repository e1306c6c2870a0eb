"""Products of matrices without rounding and without float64: columns in fixed point, cut into
digits of 8 bits, which are multiplied and summed as integers.

The result is that of the columns rounded to 39 bits of their largest entry, exactly: a Gram matrix
stays positive semidefinite, and no order of summation, block of rows or number of devices changes a
bit of it.

Source: ours, on the error-free transformation of Ozaki, Ogita, Oishi, Rump (2012).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int

from jaxalign._core.expansions import (
    Expansion,
    difference,
    power_of_two,
    renormalized,
    rounded,
    two_sum,
    without_last_bit,
)

# Rows that are summed in int32: 5 products of digits, each up to 2^14, of this many rows.
_BLOCK = 1 << 14
# Orders of products of digits that are kept.
_ORDERS = 9
# The sums of this many rows, cut into two limbs, stay in int32.
MOST_ROWS = 1 << 28


class Digits(NamedTuple):
    """A matrix X = diag-scaled fixed point: X_ij = scale_j·2⁻⁷·Σ_s digits_sij·256⁻ˢ."""

    digits: Int[Array, "s n d"]  # int8
    scale: Float[Array, " d"]  # float32 powers of two; NaN for a column that is not finite


class Rows(NamedTuple):
    """Which rows there are: of all devices of a mesh ``axis`` together, and of those here the ones
    that are ``present`` (n,), 0 or 1; all if None.
    """

    axis: str | None = None
    present: Array | None = None


ALL = Rows()


def scales(top: Float[Array, " d"]) -> Float[Array, " d"]:
    """Powers of two of at least twice ``top``, the largest |x| of each column."""
    _, exponent = jnp.frexp(top)
    scale = power_of_two(jnp.clip(exponent + 1, -126, 126))
    return jnp.where(jnp.isfinite(top), jnp.where(top > 0, scale, 1), jnp.nan)


def largest(x: Float[Array, "n d"], axis: str | None = None) -> Float[Array, " d"]:
    """The largest |x| of each column, over all devices of a mesh axis if there is one."""
    top = jnp.max(jnp.abs(x), axis=0)
    return top if axis is None else lax.pmax(top, axis)


def digits_of(x: Expansion, *, words: int = 1, axis: str | None = None) -> Digits:
    """X (n, d), |x| up to 2^125, to 15 + 24·words bits below the scale of each column, which all
    devices of a mesh axis agree on.
    """
    scale = scales(largest(x[0], axis))
    rest = tuple(part / scale[None, :] for part in x)  # |rest| ≤ 1/2
    integers = []
    for bits in (15, *[24] * words):
        rest = renormalized(tuple(part * 2.0**bits for part in rest), len(rest))
        whole = jnp.round(rest[0])
        integers.append(whole.astype(jnp.int32))
        rest = (rest[0] - whole, *rest[1:])
    digits: list[Array] = []
    carry = jnp.zeros_like(integers[0])
    for integer, count in zip(reversed(integers), (*[3] * words, 2), strict=True):
        # With 128 added at each digit, digits from −128 to 127 are plain bytes.
        shifted = integer + carry + 0x808080 % 256**count
        places = np.arange(0, 8 * count, 8, dtype=np.int32)[::-1, None, None]
        digits.insert(0, (((shifted[None] >> places) & 255) - 128).astype(jnp.int8))
        carry = shifted >> 24
    return Digits(jnp.concatenate(digits), scale)


def about_mean(x: Expansion, rows: Rows = ALL) -> Expansion:
    """Rows minus their mean, to two parts; rows that are not present become 0."""
    x = (*x, jnp.zeros_like(x[0]))[:2]
    present = jnp.ones(len(x[0]), jnp.float32) if rows.present is None else rows.present
    count = rounded(_sum_of_rows((present[:, None],), rows.axis))
    # Compilers turn a division by a constant into this product, which rounds otherwise.
    share = lax.optimization_barrier(1 / count)
    # The first mean is right to float32, the second adds as many digits.
    for _ in range(2):
        # Without its last bit it is no product that a compiler may fuse with the difference.
        mean = without_last_bit(rounded(_sum_of_rows(x, rows.axis)) * share)
        x = difference(x, (mean[None, :], jnp.zeros_like(mean)[None, :]))
        x = tuple(part * present[:, None] for part in x)
    return x


def _sum_of_rows(x: Expansion, axis: str | None) -> Expansion:
    """Σ_i X_ij (d,)."""
    ones = Digits(jnp.ones((1, len(x[0]), 1), jnp.int8), jnp.full(1, 2.0**7, jnp.float32))
    return tuple(part[0] for part in product(ones, digits_of(x, axis=axis), axis=axis))


def squares(x: Digits, axis: str | None = None, parts: int = 2) -> Expansion:
    """Σ_i X_ij² (d,)."""

    def of_column(digits: Int[Array, "s n"], scale: Array) -> Expansion:
        column = Digits(digits[:, :, None], scale[None])
        return tuple(part[0, 0] for part in product(column, column, axis=axis, parts=parts))

    return jax.vmap(of_column, (2, 0))(*x)


def product(left: Digits, right: Digits, *, axis: str | None = None, parts: int = 2) -> Expansion:
    """LᵀR (p, q) of L (n, p) and R (n, q), exactly up to ``parts`` float32, or to 72 bits of both
    scales; over the rows of all devices of a mesh axis if there is one.
    """
    if left.digits.shape[1] > MOST_ROWS:
        raise ValueError(
            f"sums of int32 hold {MOST_ROWS} rows, found {left.digits.shape[1]}; "
            "add moments of parts of them"
        )
    sums = _by_order(_digit_products(left.digits, right.digits))[:_ORDERS]
    # The sum of blocks exceeds int32.
    limbs = jnp.stack(_halves(sums)).sum(axis=2, dtype=jnp.int32)
    if axis is not None:
        limbs = lax.psum(limbs, axis)
    total = _sum_of_orders(limbs[0], limbs[1])
    # Powers of two: exact, one after the other.
    scaled = tuple(part * left.scale[:, None] * right.scale[None, :] for part in total)
    return renormalized(scaled, parts)


def _digit_products(
    left: Int[Array, "s n p"], right: Int[Array, "t n q"]
) -> Int[Array, "s t b p q"]:
    """left_iᵀ right_j of each block of rows, in int32."""
    n = left.shape[1]
    blocks = -(-n // _BLOCK)
    height = -(-n // blocks)
    padding = ((0, 0), (0, blocks * height - n), (0, 0))
    lhs, rhs = (jnp.pad(x, padding).reshape(len(x), blocks, height, -1) for x in (left, right))
    dimensions = (((2,), (2,)), ((1,), (1,)))
    products = lax.dot_general(lhs, rhs, dimensions, preferred_element_type=jnp.int32)
    return products.transpose(1, 3, 0, 2, 4)


def _by_order(products: Int[Array, "s t *shape"]) -> Array:
    """Σ_{i+j=order} products_ij."""
    s, t, *shape = products.shape
    # Row i is moved right by i: each is one longer than the rows that it is read in.
    padded = jnp.pad(products, ((0, 0), (0, s), *((0, 0),) * len(shape)))
    flat = padded.reshape(s * (s + t), *shape)[: s * (s + t - 1)]
    return flat.reshape(s, s + t - 1, *shape).sum(axis=0, dtype=jnp.int32)


def _sum_of_orders(high: Int[Array, "o p q"], low: Int[Array, "o p q"]) -> Expansion:
    """Σ_order (2¹⁶·high + low)·2⁻¹⁴·256^(−order) to three parts."""
    carry, low = _halves(low)
    # 16 bits each, which float32 holds.
    terms = jnp.stack([*_halves(high + carry), low]).astype(jnp.float32)
    places = 2.0 ** (np.array([[18.0], [2.0], [-14.0]]) - 8.0 * np.arange(len(high)))
    terms = terms * places.astype(np.float32)[:, :, None, None]

    def add(total: Expansion, term: Array) -> tuple[Expansion, None]:
        first, lost = two_sum(total[0], term)
        second, lost = two_sum(total[1], lost)
        return (first, second, total[2] + lost), None

    terms = terms.reshape(-1, *high.shape[1:])
    zero = jnp.zeros_like(terms[0])
    first: Expansion = (terms[0], zero, zero)
    return lax.scan(add, first, terms[1:])[0]


def _halves(value: Int[Array, "*shape"]) -> tuple[Array, Array]:
    """(high, low) with value = 2¹⁶·high + low and −2¹⁵ ≤ low < 2¹⁵: no high part cancels a low."""
    high = (value + 0x8000) >> 16
    return high, value - (high << 16)
