"""Rows about their mean without float64, the same on any number of devices."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from jaxalign._core.expansions import (
    Expansion,
    difference,
    rounded,
    times,
    without_last_bit,
)
from jaxalign._spectrum.integer_products import Table, digits_of, over_devices, product, table_of


class Rows(NamedTuple):
    """Which rows there are: of all devices along mesh ``axes`` together, and of those here the ones
    that are ``present`` (n,), 0 or 1; all if None. The others are 0.
    """

    axes: tuple[str, ...] = ()
    present: Array | None = None


ALL = Rows()


def about_mean(x: Expansion, rows: Rows = ALL) -> Table:
    """Rows minus their mean, to two parts; rows that are not present stay 0."""
    present = rows.present
    if present is None:
        present = jnp.ones(len(x[0]), jnp.float32)
    mean = _mean(x, present, rows.axes)

    def expand(block: tuple[Expansion, Array]) -> Expansion:
        part, present = block
        return _minus(part, tuple(m[None, :] for m in mean), present[:, None])

    return Table((x, present), expand)


def columns_about_mean(x: Expansion) -> Table:
    """The transpose of ``about_mean``."""
    mean = _mean(x, jnp.ones(len(x[0]), jnp.float32), ())

    def expand(block: tuple[Expansion, Expansion]) -> Expansion:
        part, mean = block
        return _minus(part, tuple(m[:, None] for m in mean), jnp.ones((1, 1), jnp.float32))

    return Table((tuple(part.T for part in x), mean), expand)


def _minus(x: Expansion, mean: Expansion, present: Array) -> Expansion:
    x = (*x, jnp.zeros_like(x[0]))[:2]
    return tuple(part * present for part in difference(x, mean))


def _mean(x: Expansion, present: Float[Array, " n"], axes: tuple[str, ...]) -> Expansion:
    """Σ_i X_ij/n (d,) to two parts."""
    ones = digits_of(table_of((jnp.ones((len(present), 1), jnp.float32),)), words=0)
    # Far from 0 a mean has more digits than are left of its rows: 24 more than in products.
    sums = product(ones, digits_of(table_of(x), words=2, axes=axes), axes=axes, parts=3)
    total = tuple(part[0] for part in sums)
    number = jnp.sum(present.astype(jnp.int32), dtype=jnp.int32)
    number = over_devices(lax.psum, number, axes)
    whole = number.astype(jnp.float32)
    count = (whole, (number - whole.astype(jnp.int32)).astype(jnp.float32))
    # Compilers turn a division by a constant into this product, which rounds otherwise.
    share = lax.optimization_barrier(1 / whole)
    # Without its last bit it is not a product that a compiler may fuse with the difference.
    first = without_last_bit(rounded(total) * share)
    rest = difference(total, (*times((first,), count), jnp.zeros_like(first)))
    return first, without_last_bit(rounded(rest) * share)
