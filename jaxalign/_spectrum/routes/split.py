"""The split route: the accuracy of float64 without float64, from exact products of integers and
float32 eigensolvers.
"""

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from jaxalign._core.expansions import Expansion, of_float64, rounded
from jaxalign._spectrum.decomposition import Decomposition, Route, Solved
from jaxalign._spectrum.eigensystem import eigensystem
from jaxalign._spectrum.integer_products import (
    Digits,
    Rows,
    about_mean,
    digits_of,
    largest,
    product,
    scales,
    squares,
)
from jaxalign._spectrum.routes.moments import over

RESOLUTION = 2.0**-27
"""Singular values below this share of σ_1 are noise: λ keeps 55 bits of λ_1."""

# Rows of U that are computed at once.
_BLOCK = 4096


def solve(
    features: Float[Array, "n d"], targets: Float[Array, "n k"], centered: bool, vectors: bool
) -> Solved:
    """``Route.solve``."""
    phi, y = (parts_of(x) for x in (features, targets))
    if centered:
        phi, y = (about_mean(x) for x in (phi, y))
    phi, unit = _normalized(phi)
    decompose = _of_tall if len(features) >= features.shape[1] else _of_wide
    parts = decompose(phi, y, vectors)
    parts = parts._replace(singular_values=parts.singular_values * unit)
    return Solved(parts, rounded(y), rounded(squares(digits_of(y))))


def solve_rows(
    features: Float[Array, "n d"], targets: Float[Array, "n k"], rows: Rows, centered: bool
) -> tuple[Float[Array, " d"], Float[Array, "d k"], Float[Array, " k"]]:
    """(σ, UᵀY, ‖y‖²) of the rows of all devices, by ΦᵀΦ also where it is the larger Gram matrix.

    All that is exchanged are maxima and sums of integers, so no bit depends on how many devices
    there are.
    """
    phi, y = (parts_of(x) for x in (features, targets))
    if centered:
        phi, y = (about_mean(x, rows) for x in (phi, y))
    phi, unit = _normalized(phi, rows.axis)
    columns, goal = (digits_of(x, axis=rows.axis) for x in (phi, y))
    gram = product(columns, columns, axis=rows.axis, parts=3)
    cross = product(columns, goal, axis=rows.axis)
    sigma, coordinates = spectrum_of_sums(gram, cross)
    return sigma * unit, coordinates, rounded(squares(goal, rows.axis))


def spectrum_of_sums(
    gram: Expansion, cross: Expansion
) -> tuple[Float[Array, " d"], Float[Array, "d k"]]:
    """(σ, UᵀY) of ΦᵀΦ = V diag(σ²) Vᵀ and ΦᵀY, as UᵀY = diag(1/σ) Vᵀ(ΦᵀY)."""
    sigma, along = eigensystem(gram, cross)
    return sigma, over(rounded(along).T, sigma).T


def parts_of(x: Float[Array, "..."]) -> Expansion:
    """An array as an expansion: of two parts if it is float64."""
    if x.dtype == jnp.float64:
        return of_float64(x)
    return (x,)


def _of_tall(phi: Expansion, y: Expansion, vectors: bool) -> Decomposition:
    """ΦᵀΦ = V diag(σ²) Vᵀ, UᵀY = diag(1/σ) Vᵀ(ΦᵀY) and U = ΦV diag(1/σ)."""
    columns = digits_of(phi)
    along = product(columns, digits_of(y))
    sigma, along, right = _eigensystem(columns, along, vectors)
    coordinates = over(rounded(along).T, sigma).T
    if not vectors:
        return _without_vectors(sigma, coordinates)
    left = over(_rows_times(phi, right), sigma)
    return Decomposition(sigma, coordinates, left, rounded(right))


def _of_wide(phi: Expansion, y: Expansion, vectors: bool) -> Decomposition:
    """ΦΦᵀ = U diag(σ²) Uᵀ, and V = ΦᵀU diag(1/σ)."""
    transposed = tuple(part.T for part in phi)
    sigma, coordinates, left = _eigensystem(digits_of(transposed), y, vectors)
    if not vectors:
        return _without_vectors(sigma, rounded(coordinates))
    right = over(_rows_times(transposed, left), sigma)
    return Decomposition(sigma, rounded(coordinates), rounded(left), right)


def _without_vectors(sigma: Float[Array, " r"], coordinates: Float[Array, "r k"]) -> Decomposition:
    empty = jnp.zeros((0, 0), jnp.float32)
    return Decomposition(sigma, coordinates, empty, empty)


def _eigensystem(
    x: Digits, columns: Expansion, vectors: bool
) -> tuple[Float[Array, " d"], Expansion, Expansion]:
    """(σ, VᵀC, V) of XᵀX = V diag(σ²) Vᵀ; V is empty where no ``vectors`` are asked for."""
    d, k = columns[0].shape
    identity = jnp.eye(d, d if vectors else 0, dtype=jnp.float32)
    columns = (*columns, jnp.zeros_like(columns[0]))[:2]
    both = [
        jnp.concatenate(pair, axis=1)
        for pair in zip(columns, (identity, 0 * identity), strict=True)
    ]
    sigma, rotated = eigensystem(product(x, x, parts=3), tuple(both))
    along = tuple(part[:, :k] for part in rotated)
    return sigma, along, tuple(part[:, k:].T for part in rotated)


def _normalized(x: Expansion, axis: str | None = None) -> tuple[Expansion, Float[Array, ""]]:
    """(x/unit, unit) with a power of two that makes the largest entry about 1."""
    top = largest(x[0], axis)
    unit = scales(jnp.max(jnp.where(jnp.isfinite(top), top, 0))[None])[0]
    return tuple(part / unit for part in x), unit


def _rows_times(rows: Expansion, matrix: Expansion) -> Float[Array, "n r"]:
    """X M of X (n, m) and M (m, r), each row right to float32 of its own size."""
    digits = digits_of(matrix)

    def times(row: Expansion) -> Float[Array, " r"]:
        column = digits_of(tuple(part[:, None] for part in row))
        return rounded(product(column, digits))[0]

    return lax.map(times, rows, batch_size=_BLOCK)


ROUTE = Route(solve, float64=False, resolution=RESOLUTION)
