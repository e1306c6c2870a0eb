"""The split route: the accuracy of float64 without float64, from exact products of integers and
float32 eigensolvers.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxalign._core.expansions import Expansion, of_float64, rounded
from jaxalign._spectrum.decomposition import Decomposition, Route, Solved
from jaxalign._spectrum.eigensystem import eigensystem
from jaxalign._spectrum.exact_means import ALL, Rows, about_mean, columns_about_mean
from jaxalign._spectrum.integer_products import (
    Digits,
    Table,
    beside,
    digits_of,
    product,
    rows_times,
    squares,
    table_of,
)
from jaxalign._spectrum.routes.moments import over

RESOLUTION = 2.0**-27
"""Singular values below this share of σ_1 are noise: λ keeps 55 bits of λ_1."""


def solve(
    features: Float[Array, "n d"], targets: Float[Array, "n k"], centered: bool, vectors: bool
) -> Solved:
    """``Route.solve``."""
    goal = _table(parts_of(targets), centered)
    y = goal.expand(goal.rows)
    decompose = _of_tall if len(features) >= features.shape[1] else _of_wide
    parts = decompose(parts_of(features), y, centered, vectors)
    return Solved(parts, rounded(y), rounded(squares(digits_of(table_of(y)))))


def solve_rows(
    features: Float[Array, "n d"], targets: Float[Array, "n k"], rows: Rows, centered: bool
) -> tuple[Float[Array, " d"], Float[Array, "d k"], Float[Array, " k"]]:
    """(σ, UᵀY, ‖y‖²) of the rows of all devices, by ΦᵀΦ also where it is the larger Gram matrix.

    All that is exchanged are maxima and sums of integers, so no bit depends on how many devices
    there are.
    """
    gram, along, total, unit = sums_of_rows(features, targets, rows, centered)
    sigma, coordinates = spectrum_of_sums(gram, along)
    return sigma * unit, coordinates, rounded(total)


def sums_of_rows(
    features: Float[Array, "n d"], targets: Float[Array, "n k"], rows: Rows, centered: bool
) -> tuple[Expansion, Expansion, Expansion, Float[Array, ""]]:
    """(ΦᵀΦ, ΦᵀY, ‖y‖², unit) of Φ divided by the unit, over the rows of all devices."""
    tables = [_table(parts_of(x), centered, rows) for x in (features, targets)]
    columns, goal = (digits_of(table, axes=rows.axes) for table in tables)
    columns, unit = _normalized(columns)
    return *_sums(columns, goal, rows.axes), squares(goal, rows.axes), unit


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


def _table(x: Expansion, centered: bool, rows: Rows = ALL) -> Table:
    return about_mean(x, rows) if centered else table_of(x)


def _of_tall(phi: Expansion, y: Expansion, centered: bool, vectors: bool) -> Decomposition:
    """ΦᵀΦ = V diag(σ²) Vᵀ, UᵀY = diag(1/σ) Vᵀ(ΦᵀY) and U = ΦV diag(1/σ)."""
    table = _table(phi, centered)
    columns, unit = _normalized(digits_of(table))
    gram, along = _sums(columns, digits_of(table_of(y)))
    sigma, along, right = _eigensystem(gram, along, vectors)
    coordinates = over(rounded(along).T, sigma).T
    sigma = sigma * unit
    if not vectors:
        return _without_vectors(sigma, coordinates)
    left = over(rounded(rows_times(table, right)), sigma)
    return Decomposition(sigma, coordinates, left, rounded(right))


def _of_wide(phi: Expansion, y: Expansion, centered: bool, vectors: bool) -> Decomposition:
    """ΦΦᵀ = U diag(σ²) Uᵀ, and V = ΦᵀU diag(1/σ)."""
    table = columns_about_mean(phi) if centered else table_of(tuple(part.T for part in phi))
    columns, unit = _normalized(digits_of(table))
    sigma, coordinates, left = _eigensystem(product(columns, columns, parts=3), y, vectors)
    sigma = sigma * unit
    if not vectors:
        return _without_vectors(sigma, rounded(coordinates))
    right = over(rounded(rows_times(table, left)), sigma)
    return Decomposition(sigma, rounded(coordinates), rounded(left), right)


def _normalized(columns: Digits) -> tuple[Digits, Float[Array, ""]]:
    """(X/unit, unit) with the power of two that makes the largest scale 1."""
    unit = jnp.max(jnp.where(jnp.isnan(columns.scale), 2.0**-126, columns.scale))
    return columns._replace(scale=columns.scale / unit), unit


def _sums(columns: Digits, goal: Digits, axes: tuple[str, ...] = ()) -> tuple[Expansion, Expansion]:
    """(XᵀX, XᵀY)."""
    d = len(columns.scale)
    both = product(columns, beside(columns, goal), axes=axes, parts=3)
    return tuple(part[:, :d] for part in both), tuple(part[:, d:] for part in both)[:2]


def _without_vectors(sigma: Float[Array, " r"], coordinates: Float[Array, "r k"]) -> Decomposition:
    empty = jnp.zeros((0, 0), jnp.float32)
    return Decomposition(sigma, coordinates, empty, empty)


def _eigensystem(
    gram: Expansion, columns: Expansion, vectors: bool
) -> tuple[Float[Array, " d"], Expansion, Expansion]:
    """(σ, VᵀC, V) of V diag(σ²) Vᵀ; V is empty where no ``vectors`` are asked for."""
    d, k = columns[0].shape
    identity = jnp.eye(d, d if vectors else 0, dtype=jnp.float32)
    columns = (*columns, jnp.zeros_like(columns[0]))[:2]
    both = [
        jnp.concatenate(pair, axis=1)
        for pair in zip(columns, (identity, 0 * identity), strict=True)
    ]
    sigma, rotated = eigensystem(gram, tuple(both))
    along = tuple(part[:, :k] for part in rotated)
    return sigma, along, tuple(part[:, k:].T for part in rotated)


ROUTE = Route(solve, float64=False, resolution=RESOLUTION)
