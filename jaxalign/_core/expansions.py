"""Numbers to more digits than float32 has, without float64: unevaluated sums of float32."""

from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int

Expansion = tuple[Array, ...]
"""float32 arrays of one shape, largest first, of which the sum is meant: p of them hold 24·p
bits. No rounded product is added to anything here, so no compiler can fuse the two.
"""


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """(s, e) with s + e = a + b exactly, and s the rounded sum."""
    # Knuth (1969): no order of a and b is assumed.
    rounded = a + b
    of_b = rounded - a
    return rounded, (a - (rounded - of_b)) + (b - of_b)


# Jitted, since a program uses it many times, and so traces and lowers it once.
@partial(jax.jit, static_argnames="parts")
def renormalized(terms: Expansion, parts: int) -> Expansion:
    """The sum of the terms to ``parts`` float32 that do not overlap; terms largest first."""
    result = []
    for _ in range(parts):
        # Sums from the small end; what each of them loses is left for the next part.
        total = terms[-1]
        lost = []
        for term in reversed(terms[:-1]):
            total, error = two_sum(term, total)
            lost.append(error)
        result.append(total)
        terms = tuple(reversed(lost)) or (jnp.zeros_like(total),)
    return tuple(result)


def difference(x: Expansion, y: Expansion) -> Expansion:
    """The difference x − y, to as many parts as x has, of numbers that broadcast."""
    terms = [t for pair in zip(x, y, strict=True) for t in (pair[0], -pair[1])]
    return renormalized(tuple(terms), len(x))


def times(x: Expansion, y: Expansion) -> Expansion:
    """The product x·y of numbers that broadcast, to two parts."""
    # Halves of 12 bits have exact products.
    halves = [_half(x[0]), _half(y[0])]
    (a, b), (c, d) = [(half, whole[0] - half) for half, whole in zip(halves, (x, y), strict=True)]
    small = [x[0] * part for part in y[1:]] + [y[0] * part for part in x[1:]]
    return renormalized((a * c, a * d, b * c, b * d, *small), 2)


def _half(x: Array) -> Array:
    """The first 12 bits of float32."""
    bits = lax.bitcast_convert_type(x, jnp.int32)
    return lax.bitcast_convert_type(bits & ~0xFFF, jnp.float32)


def without_last_bit(x: Array) -> Array:
    """float32 ``x`` to 23 bits: a number that no compiler takes for the operation it came from."""
    bits = lax.bitcast_convert_type(x, jnp.int32)
    return lax.bitcast_convert_type(bits & ~1, jnp.float32)


def square_root(x: Expansion) -> Expansion:
    """√x to two parts, of numbers from 0 on."""
    root = jnp.sqrt(x[0])
    # Newton's step: √x ≈ r + (x − r²)/2r.
    rest = rounded(difference((*x, jnp.zeros_like(root))[:2], times((root,), (root,))))
    return root, jnp.where(root > 0, rest / jnp.where(root > 0, 2 * root, 1), 0)


def of_float64(x: Float[Array, "*shape"], parts: int = 2) -> Expansion:
    """Parts that hold 24 bits each of float64 ``x``, which is in the range of float32."""
    result = []
    for _ in range(parts):
        result.append(x.astype(jnp.float32))
        x = x - result[-1].astype(x.dtype)
    return tuple(result)


def as_float64(x: Expansion) -> Float[Array, "*shape"]:
    """The sum, in float64; for use where float64 is allowed."""
    return reduce(jnp.add, [part.astype(jnp.float64) for part in reversed(x)])


def rounded(x: Expansion) -> Float[Array, "*shape"]:
    """The sum, in float32."""
    return reduce(jnp.add, reversed(x))


def power_of_two(exponent: Int[Array, "*shape"]) -> Float[Array, "*shape"]:
    """2^exponent for −126 ≤ exponent ≤ 127, exactly: accelerators round ``exp2``."""
    return lax.bitcast_convert_type((exponent + 127) << 23, jnp.float32)
