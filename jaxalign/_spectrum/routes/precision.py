"""The arrays that a route computes with: Φ and Y in float64 or in their own dtype, about their
means if that is asked for.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from jaxalign._core.expansions import rounded
from jaxalign._core.float64 import float64_inside
from jaxalign._core.linalg import centred
from jaxalign._core.platform import on_platform
from jaxalign._spectrum.decomposition import Decomposition, Solved
from jaxalign._spectrum.exact_means import about_mean

Decompose = Callable[[Array, Array], Decomposition]
Solve = Callable[[Array, Array, bool, bool], Solved]


def in_float64(decompose: Decompose) -> Solve:
    """``Route.solve`` of a decomposition in float64. Features that are not centred come to it in
    their own dtype: converted here, they would be in memory as a whole.
    """

    def solve(features: Array, targets: Array, centered: bool, vectors: bool) -> Solved:
        phi = features.astype(jnp.float64) if centered else features
        return _solved(decompose, phi, targets.astype(jnp.float64), jnp.float64, centered)

    return solve


def in_own_dtype(decompose: Decompose) -> Solve:
    """``Route.solve`` of a decomposition of arrays in the features' dtype."""

    def solve(features: Array, targets: Array, centered: bool, vectors: bool) -> Solved:
        return _solved(decompose, features, targets, features.dtype, centered)

    return solve


def _solved(
    decompose: Decompose, features: Array, targets: Array, dtype: DTypeLike, centered: bool
) -> Solved:
    phi, y = features, targets
    if centered:
        phi, y = (_minus_mean(x) for x in (phi, y))
    y = y.astype(dtype)
    return Solved(decompose(phi, y), y, jnp.sum(y**2, axis=0))


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
