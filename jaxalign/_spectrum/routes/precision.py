"""The arrays that a route computes with: Φ and Y in float64 or in their own dtype, about their
means if that is asked for.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxalign._core.expansions import rounded
from jaxalign._core.float64 import float64_inside
from jaxalign._core.linalg import centred
from jaxalign._core.platform import on_platform
from jaxalign._spectrum.decomposition import Decomposition, Solved
from jaxalign._spectrum.exact_means import about_mean

Decompose = Callable[[Array, Array], Decomposition]
Solve = Callable[[Array, Array, bool, bool], Solved]


class Center(NamedTuple):
    """What rows are read about: x − first − mean.

    Attributes:
      first: the first row. A mean far from 0 is off by its rounding, differences of rows are not.
      mean: of the differences, in float64.
    """

    first: Float[Array, " d"]
    mean: Float[Array, " d"]


def in_float64(decompose: Callable[[Array, Array, Center | None], Decomposition]) -> Solve:
    """``Route.solve`` of a decomposition in float64. It gets features in their own dtype, and reads
    them by ``about``: a float64 copy of all would be the largest array of a program.
    """

    def solve(features: Array, targets: Array, centered: bool, vectors: bool) -> Solved:
        y = targets.astype(jnp.float64)
        center = None
        if centered:
            y = centred(y)
            center = _center_of(features)
        return Solved(decompose(features, y, center), y, jnp.sum(y**2, axis=0))

    return solve


def _center_of(x: Float[Array, "n d"]) -> Center:
    first = x[0].astype(jnp.float64)
    return Center(first, jnp.mean(x.astype(jnp.float64) - first[None, :], axis=0))


def about(x: Float[Array, "n d"], center: Center | None) -> Float[Array, "n d"]:
    """Rows in float64, about a center if there is one: a constant column becomes exactly 0."""
    wide = x.astype(jnp.float64)
    if center is None:
        return wide
    return wide - center.first[None, :] - center.mean[None, :]


def in_own_dtype(decompose: Decompose) -> Solve:
    """``Route.solve`` of a decomposition of arrays in the features' dtype."""

    def solve(features: Array, targets: Array, centered: bool, vectors: bool) -> Solved:
        phi, y = features, targets
        if centered:
            phi, y = (_minus_mean(x) for x in (phi, y))
        y = y.astype(phi.dtype)
        return Solved(decompose(phi, y), y, jnp.sum(y**2, axis=0))

    return solve


def _minus_mean(x: Float[Array, "n w"]) -> Float[Array, "n w"]:
    """Rounded once: float32 means of data far from 0 would move every σ."""
    if x.dtype == jnp.float32:
        return on_platform(float64_inside(_minus_mean_in_float64), _minus_mean_in_digits, x)
    return centred(x)


def _minus_mean_in_float64(x: Float[Array, "n w"]) -> Float[Array, "n w"]:
    return centred(x.astype(jnp.float64)).astype(x.dtype)


def _minus_mean_in_digits(x: Float[Array, "n w"]) -> Float[Array, "n w"]:
    rows = about_mean((x,))
    return rounded(rows.expand(rows.rows))
