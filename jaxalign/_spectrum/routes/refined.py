"""The moments route to full accuracy: a second pass over Φ, in the coordinates that the first one
found.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular

from jaxalign._core.linalg import cholesky, matmul, svd
from jaxalign._spectrum.decomposition import Decomposition, Route
from jaxalign._spectrum.routes import moments
from jaxalign._spectrum.routes.moments import products, singular_vectors

RESOLUTION = 2.0**-48
"""Singular values under this share of σ_1 are noise (16 eps of float64)."""


class Finished(NamedTuple):
    """The small problem solved: ΦV diag(1/s) = Q R, R diag(s) = L diag(σ) Nᵀ, hence Φ = (Q L)
    diag(σ) (V N)ᵀ.
    """

    singular_values: Array  # (d,) σ
    coordinates: Array  # (d, k) (Q L)ᵀY
    to_left: Array  # (d, d) R⁻¹L
    to_right: Array  # (d, d) N


def preconditioner(gram: Array) -> tuple[Array, Array]:
    """(V, s): eigenvectors of the first pass and its singular values, those below its resolution
    lifted to it.
    """
    sigma, right = singular_vectors(gram)
    return right, lifted(sigma)


def lifted(sigma):
    """The first pass's σ, descending, of jax or of numpy: those below its resolution lifted to it."""
    xp = sigma.__array_namespace__()
    return xp.maximum(sigma, xp.where(sigma[0] > 0, moments.RESOLUTION * sigma[0], 1))


def definite(gram):
    """A Gram matrix, of jax or of numpy, and d·eps of its diagonal: Cholesky's success is certain,
    σ moves by half as much.
    """
    xp, info = gram.__array_namespace__(), jnp.finfo(gram.dtype)
    return gram + xp.diag(xp.diagonal(gram) * float(4 * len(gram) * info.eps) + float(info.tiny))


def finish(gram: Array, cross: Array, scale: Array) -> Finished:
    """From WᵀW and WᵀY of W = ΦV diag(1/s).

    W's columns are nearly orthonormal however large the condition number is, so nothing is lost in
    squaring them; for σ below the first pass's resolution they are short instead, with the second
    pass's digits still to their name.
    """
    lower = cholesky(definite(gram))
    left, sigma, right = svd(lower.T * scale)
    coordinates = matmul(left.T, solve_triangular(lower, cross, lower=True))
    return Finished(sigma, coordinates, solve_triangular(lower, left, lower=True, trans=1), right.T)


def decompose(features: Array, targets: Array) -> Decomposition:
    """Φ = U diag(σ) Vᵀ to the accuracy of an SVD in float64, from products of rows only.

    Args:
      features: (n, d), any real dtype; float64 from here on. Wide Φ is treated by its transpose.
      targets: (n, k), likewise.
    """
    n, d = features.shape
    if n < d:
        turned = decompose(features.T, jnp.zeros((d, 1)))
        coordinates = matmul(turned.right.T, targets.astype(jnp.float64))
        return Decomposition(turned.singular_values, coordinates, turned.right, turned.left)
    directions, scale = preconditioner(products([features]))
    rows = matmul(features.astype(jnp.float64), directions / scale)
    both = products([rows], [targets])
    found = finish(both[:, :d], both[:, d:], scale)
    return Decomposition(
        found.singular_values,
        found.coordinates,
        matmul(rows, found.to_left),
        matmul(directions, found.to_right),
    )


ROUTE = Route(decompose, float64=True, resolution=RESOLUTION)
