"""Moments without float64 arithmetic but sums: products of integers, eigenvectors of ``split``.

What goes in and out is float64, as Moments are on every platform; it is only converted here.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxalign._core.expansions import (
    Expansion,
    as_float64,
    difference,
    of_float64,
    square_root,
    times,
)
from jaxalign._spectrum.basis import Basis
from jaxalign._spectrum.eigensystem import eigensystem
from jaxalign._spectrum.integer_products import (
    Digits,
    Table,
    beside,
    digits_of,
    product,
    rows_times,
    scales,
    squares,
)
from jaxalign._spectrum.routes.refined import lifted
from jaxalign._spectrum.routes.split import parts_of, spectrum_of_sums


def row_products(
    features: Float[Array, "n d"],
    targets: Float[Array, "n k"],
    weights: Float[Array, " n"] | None,
    basis: Basis | None,
) -> Float[Array, "rows columns"]:
    """Σ w (φ, 1)(φ, 1, y)ᵀ and, in a last row, Σ w y², in float64."""
    phi, y = (parts_of(x) for x in (features, targets))
    if basis is not None:
        phi = _in_basis(phi, basis)
    root = None
    if weights is not None:
        # Σ w xxᵀ is the product of rows √w x.
        root = tuple(part[:, None] for part in square_root(parts_of(weights)))
    columns, unit = _scaled(digits_of(Table((phi, root), _with_ones)))
    goal, target_unit = _scaled(digits_of(Table((y, root), _weighted)))
    both = as_float64(product(columns, beside(columns, goal), parts=3))
    both = both * unit[:, None] * jnp.concatenate([unit, target_unit])[None, :]
    total = as_float64(squares(goal, parts=3)) * target_unit * target_unit
    return jnp.vstack([both, jnp.pad(total, (len(unit), 0))[None]])


def _with_ones(rows: tuple[Expansion, Expansion | None]) -> Expansion:
    """Rows √w (φ, 1)."""
    phi, root = rows
    columns = tuple(jnp.pad(part, ((0, 0), (0, 1))) for part in phi)
    columns = (columns[0].at[:, -1].set(1), *columns[1:])
    return _weighted((columns, root))


def _weighted(rows: tuple[Expansion, Expansion | None]) -> Expansion:
    """Rows √w x."""
    x, root = rows
    return x if root is None else times(x, root)


def spectrum_of(
    gram: Float[Array, "d d"], cross: Float[Array, "d k"]
) -> tuple[Float[Array, " d"], Float[Array, "d k"]]:
    """(σ, UᵀY) float32 of ΦᵀΦ and ΦᵀY in float64."""
    sums, unit = _unit_sums(gram)
    along, target_unit = _scaled_float64(cross / unit.astype(cross.dtype))
    sigma, coordinates = spectrum_of_sums(sums, along)
    return sigma * unit, coordinates * target_unit[None, :]


def preconditioner(gram: Float[Array, "d d"]) -> tuple[Float[Array, "d d"], Float[Array, " d"]]:
    """``refined.preconditioner``: (V, s) float64 of ΦᵀΦ."""
    sums, unit = _unit_sums(gram)
    sigma, turned = eigensystem(sums, (jnp.eye(len(gram), dtype=jnp.float32),))
    scale = lifted(sigma).astype(jnp.float64) * unit.astype(jnp.float64)
    return as_float64(turned).T, scale


def _in_basis(phi: Expansion, basis: Basis) -> Expansion:
    """(φ − center)·directions/scale."""
    center = tuple(part[None, :] for part in of_float64(basis.center))

    def shifted(rows: Expansion) -> Expansion:
        return difference((*rows, jnp.zeros_like(rows[0]))[:2], center)

    # Digits keep 39 bits below the largest entry of a row; in the coordinates of small σ that much
    # cancels, so there are 24 more.
    directions = of_float64(basis.directions / basis.scale[None, :])
    return rows_times(Table(phi, shifted), directions, words=2)


def _scaled(x: Digits) -> tuple[Digits, Float[Array, " d"]]:
    """(x/unit, unit in float64) with a power of two for each column."""
    unit = x.scale.astype(jnp.float64)
    return x._replace(scale=x.scale / x.scale), unit


def _scaled_float64(x: Float[Array, "d k"]) -> tuple[Expansion, Float[Array, " k"]]:
    unit = scales(jnp.max(jnp.abs(x), axis=0).astype(jnp.float32))
    return of_float64(x / unit.astype(x.dtype)[None, :]), unit


def _unit_sums(gram: Float[Array, "d d"]) -> tuple[Expansion, Float[Array, ""]]:
    """(ΦᵀΦ/unit², unit) with a power of two near the largest norm of a column."""
    norm = jnp.sqrt(jnp.max(jnp.diagonal(gram))).astype(jnp.float32)
    unit = scales(norm[None])[0]
    wide = unit.astype(gram.dtype)
    return of_float64(gram / wide / wide, 3), unit
