"""Numbers to more digits than float32 has, without float64: unevaluated sums of float32."""

from functools import reduce

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int

Expansion = tuple[Array, ...]
"""float32 arrays of one shape, largest first, of which the sum is meant: p of them hold 24·p
bits. Nothing here multiplies two numbers, so no compiler can fuse a product into a sum.
"""


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """(s, e) with s + e = a + b exactly, and s the rounded sum."""
    # Knuth (1969): no order of a and b is assumed.
    rounded = a + b
    of_b = rounded - a
    return rounded, (a - (rounded - of_b)) + (b - of_b)


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


def of_float64(x: Float[Array, "*shape"]) -> Expansion:
    """Two parts that hold 48 bits of float64 ``x``, in the range of float32."""
    large = x.astype(jnp.float32)
    return large, (x - large.astype(x.dtype)).astype(jnp.float32)


def as_float64(x: Expansion) -> Float[Array, "*shape"]:
    """The sum, in float64; for use where float64 is allowed."""
    return reduce(jnp.add, [part.astype(jnp.float64) for part in reversed(x)])


def rounded(x: Expansion) -> Float[Array, "*shape"]:
    """The sum, in float32."""
    return reduce(jnp.add, reversed(x))


def power_of_two(exponent: Int[Array, "*shape"]) -> Float[Array, "*shape"]:
    """2^exponent for −126 ≤ exponent ≤ 127, exactly: accelerators round ``exp2``."""
    return lax.bitcast_convert_type((exponent + 127) << 23, jnp.float32)
