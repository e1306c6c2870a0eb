"""What a batch of rows adds to Moments: Σ w (φ, 1)(φ, 1, y)ᵀ and Σ w y², on the host or traced."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from jaxalign._core.derivatives import without_derivative
from jaxalign._core.float64 import float64_inside
from jaxalign._core.known import is_on_host
from jaxalign._core.linalg import matmul
from jaxalign._core.platform import on_platform
from jaxalign._spectrum import split_moments
from jaxalign._spectrum.basis import Basis
from jaxalign._spectrum.products import Columns, products_of
from jaxalign._spectrum.routes import host
from jaxalign._spectrum.routes.table import refuse_float64


def row_products(
    features: Float[Array, "n d"],
    targets: Float[Array, "n k"],
    weights: Float[Array, " n"] | None,
    basis: Basis | None,
    method: str = "auto",
) -> Array | np.ndarray:
    """(d + 2, d + 1 + k) float64, of the coordinates of φ in ``basis`` if there is one."""
    arrays = jax.tree.leaves((features, targets, weights, basis))
    if method == "auto" and is_on_host(*arrays):
        return _on_host(features, targets, weights, basis)
    return _traced(features, targets, weights, basis, method)


def _on_host(
    features: Array, targets: Array, weights: Array | None, basis: Basis | None
) -> np.ndarray:
    coordinates = host.Coordinates()
    if basis is not None:
        directions = np.asarray(basis.directions) / np.asarray(basis.scale)
        coordinates = host.Coordinates(np.asarray(basis.center), directions)
    rows = np.asarray(features)
    row_weights = None if weights is None else np.asarray(weights)
    result = host.products(rows, np.asarray(targets), row_weights, coordinates)
    # BLAS computed the upper triangle of the symmetric part.
    symmetric = result[: rows.shape[1] + 1, : rows.shape[1] + 1]
    symmetric += np.triu(symmetric, 1).T
    return result


_REASON = "moments have no derivative; differentiate spectrum(features, targets) instead"


@partial(without_derivative, reason=_REASON, static=(4,))
@partial(jax.jit, static_argnums=(4,))
def _traced(
    features: Array, targets: Array, weights: Array | None, basis: Basis | None, method: str
) -> Array:
    leaves, tree = jax.tree.flatten((features, targets, weights, basis))

    def split(*leaves: Array) -> Array:
        return split_moments.row_products(*jax.tree.unflatten(tree, leaves))

    def run(*leaves: Array) -> Array:
        return in_float64(*jax.tree.unflatten(tree, leaves))

    def in_float64(
        features: Array, targets: Array, weights: Array | None, basis: Basis | None
    ) -> Array:
        sums = products_of(_columns, (features, targets, weights), basis)
        squares = jnp.sum(_weighted(targets, weights) ** 2, axis=0)
        return jnp.vstack([sums, jnp.pad(squares, (features.shape[1] + 1, 0))])

    if method == "split":
        return float64_inside(split)(*leaves)
    if features.dtype == jnp.float64:
        split = refuse_float64
    return on_platform(float64_inside(run), split, *leaves)


def _columns(rows: tuple[Array, Array, Array | None], basis: Basis | None) -> Columns:
    """√w (φ, 1), φ by its coordinates in the basis if there is one, and √w y."""
    features, targets, weights = rows
    if basis is not None:
        shifted = features.astype(jnp.float64) - basis.center[None, :]
        features = matmul(shifted, basis.directions / basis.scale[None, :])
    columns = features, jnp.ones((len(features), 1), features.dtype), targets
    weighted = [_weighted(c, weights) for c in columns]
    return weighted[:2], weighted[2:]


def _weighted(rows: Float[Array, "n w"], weights: Float[Array, " n"] | None) -> Array:
    """√w x in float64."""
    wide = rows.astype(jnp.float64)
    if weights is None:
        return wide
    return wide * jnp.sqrt(weights.astype(jnp.float64))[:, None]
