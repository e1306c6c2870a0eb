"""What a batch of rows adds to Moments: Σ w (φ, 1)(φ, 1, y)ᵀ and Σ w y², on the host or traced."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from jaxalign._core.checks import is_on_host
from jaxalign._core.derivatives import without_derivative
from jaxalign._core.float64 import float64_inside
from jaxalign._core.linalg import matmul
from jaxalign._core.platform import on_platform
from jaxalign._spectrum import split_moments
from jaxalign._spectrum.basis import Basis
from jaxalign._spectrum.routes import host
from jaxalign._spectrum.routes.moments import products
from jaxalign._spectrum.routes.table import refuse_float64


def row_products(
    features: Float[Array, "n d"],
    targets: Float[Array, "n k"],
    weights: Float[Array, " n"] | None,
    basis: Basis | None,
    method: str = "auto",
) -> Array | np.ndarray:
    """(d + 2, d + 1 + k) float64, of the coordinates of φ in ``basis`` if there is one."""
    if method == "auto" and is_on_host(features, targets):
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
    n, d = features.shape
    leaves, tree = jax.tree.flatten((features, targets, weights, basis))

    def split(*leaves: Array) -> Array:
        return split_moments.row_products(*jax.tree.unflatten(tree, leaves))

    def run(*leaves: Array) -> Array:
        return in_float64(*jax.tree.unflatten(tree, leaves))

    def in_float64(
        features: Array, targets: Array, weights: Array | None, basis: Basis | None
    ) -> Array:
        columns = [features, jnp.ones((n, 1), features.dtype), targets]
        if basis is not None:
            shifted = features.astype(jnp.float64) - basis.center[None, :]
            columns[0] = matmul(shifted, basis.directions / basis.scale[None, :])
        if weights is not None:
            root = jnp.sqrt(weights.astype(jnp.float64))[:, None]
            columns = [c.astype(jnp.float64) * root for c in columns]
        squares = jnp.sum(columns[2].astype(jnp.float64) ** 2, axis=0)
        return jnp.vstack([products(columns[:2], columns[2:]), jnp.pad(squares, (d + 1, 0))])

    if method == "split":
        return float64_inside(split)(*leaves)
    if features.dtype == jnp.float64:
        split = refuse_float64
    return on_platform(float64_inside(run), split, *leaves)
