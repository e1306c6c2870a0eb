"""The label spectrum (σ, (UᵀY)², ‖Y‖²) of a representation: the three small arrays behind every measure."""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxalign import _gram, _svd
from jaxalign._checks import as_matrices
from jaxalign._decomposition import Cotangents, Decomposition, pullback
from jaxalign._float64 import float64_inside
from jaxalign._gram import over, singular_vectors
from jaxalign._matmul import matmul
from jaxalign.moments import Moments

Method = Literal["auto", "moments", "svd"]

_ROUTES = {"moments": _gram, "svd": _svd}


class Spectrum(NamedTuple):
    """How the targets lie along the left singular vectors u_i of Φ (n, d); r = min(n, d). A pytree: it batches.

    Attributes:
      singular_values: (r,) σ_i, descending.
      energy: (r, k) (u_iᵀ y_j)², 0 where σ_i ≤ σ_1·eps·max(n, d) (eps of the features' dtype): numerically, such a
        direction is not in the column space.
      total: (k,) ‖y_j‖², the part outside the column space included.
    """

    singular_values: Array
    energy: Array
    total: Array


def spectrum(
    features: ArrayLike | Moments,
    targets: ArrayLike | None = None,
    *,
    method: Method = "auto",
    centered: bool = False,
) -> Spectrum:
    """The label spectrum σ_i, (u_iᵀ y_j)², ‖y_j‖² of Φ = U diag(σ) Vᵀ and Y.

    Computed in float64 whatever the dtype outside and the global x64 flag, returned in the features' dtype. Works
    under jit, vmap, grad, scan and shard_map. Gradients are right also at repeated singular values and for
    rank-deficient Φ, for every function of the spectral measure (areas, curves, sums over σ_i); there is reverse mode
    only, and only once.

    Args:
      features: (n, d) Φ, any real dtype; tall or wide. ``prepare`` makes it from activations. Or Moments, alone.
      targets: (n, k) Y; (n,) floats count as one column. ``encode_targets`` makes it from labels.
      method: "moments": eigenvectors of ΦᵀΦ (ΦΦᵀ when wide), which resolve 6e-8·σ_1: what lies under that counts to
        no direction; "svd": the plain SVD, slower, down to eps·σ_1; "auto": "svd" for float64 features, else "moments".
      centered: subtract the mean of every column of Φ and Y first. By default they are taken as they are.

    Returns:
      Spectrum of r = min(n, d) singular values; of d from Moments, whose n is no shape.

    Raises:
      ValueError: features or targets empty, not matrices, of different n (says so when features look transposed), or
        not finite (eager calls; traced, NaN in gives NaN out); integer targets (n,); targets missing; an unknown
        method; Moments with targets, or with a method other than "moments".
      TypeError: complex features or targets.

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [[1.0], [1.0], [1.0]])
      >>> s.singular_values.tolist(), s.energy.ravel().tolist(), s.total.tolist()
      ([3.0, 1.0], [1.0, 1.0], [3.0])

    Source: the measure's ingredients are Eq. 1 of Imani, Hu, White (TMLR 2022); routes and derivative are ours.
    """
    if method != "auto" and method not in _ROUTES:
        raise ValueError(f"method must be 'auto', {', '.join(map(repr, _ROUTES))}, found {method!r}")
    if isinstance(features, Moments):
        if targets is not None or method not in ("auto", "moments"):
            raise ValueError("spectrum(moments) takes no targets and no other method: both are in the moments")
        return _of_moments(features, centered)
    if targets is None:
        raise ValueError("targets are missing; pass spectrum(features, targets)")
    features, targets = as_matrices(features, targets)
    if centered:
        features, targets = features - features.mean(axis=0), targets - targets.mean(axis=0)
    if method == "auto":
        method = "svd" if features.dtype == jnp.float64 else "moments"
    return _spectrum(features, targets, method)


@partial(jax.jit, static_argnames="centered")
def _of_moments(moments: Moments, centered: bool) -> Spectrum:
    d, dtype = moments.width, jnp.dtype(moments.precision)

    def solve(products):
        weight = products[d, d]
        if centered:
            products = products - products[:, d : d + 1] * products[d] / weight
        sigma, right = singular_vectors(products[:d, :d])
        coordinates = over(matmul(products[d + 1 :, :d], right), sigma).T
        significant = _significant(sigma, dtype, jnp.maximum(weight, d), _gram.RESOLUTION)
        return _label_spectrum(sigma, coordinates, significant, jnp.diagonal(products)[d + 1 :], dtype)

    return float64_inside(solve)(moments.products)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
@partial(jax.jit, static_argnums=(2,))
def _spectrum(features: Array, targets: Array, route: str) -> Spectrum:
    def solve(features, targets):
        parts, significant, wide_targets = _decompose(features, targets, route)
        total = jnp.sum(wide_targets**2, axis=0)
        return _label_spectrum(parts.singular_values, parts.coordinates, significant, total, features.dtype)

    return float64_inside(solve)(features, targets)


def _forward(features: Array, targets: Array, route: str) -> tuple[Spectrum, tuple[Array, Array]]:
    # Only the arguments are kept: the derivative decomposes them again, so that float64 never crosses its scope.
    return _spectrum(features, targets, route), (features, targets)


@partial(jax.jit, static_argnums=(0,))
def _backward(route: str, arguments: tuple[Array, Array], cotangents: Spectrum) -> tuple[Array, Array]:
    def solve(features, targets, *cotangents):
        parts, significant, wide_targets = _decompose(features, targets, route)
        wide = Cotangents(*(c.astype(jnp.float64) for c in cotangents))
        closeness = float(jnp.finfo(features.dtype).eps) ** 0.5  # below it, cotangents are mostly rounding
        bars = pullback(parts, wide_targets, significant, closeness, wide)
        return tuple(bar.astype(features.dtype) for bar in bars)

    return float64_inside(solve)(*arguments, *cotangents)


_spectrum.defvjp(_forward, _backward)


def _decompose(features: Array, targets: Array, route: str) -> tuple[Decomposition, Array, Array]:
    """The route's decomposition in float64, which of its directions are numerically in the column space, and Y."""
    wide_targets = targets.astype(jnp.float64)
    parts = _ROUTES[route].decompose(features, targets)
    significant = _significant(parts.singular_values, features.dtype, max(features.shape), _ROUTES[route].RESOLUTION)
    return parts, significant, wide_targets


def _significant(sigma: Array, dtype: jnp.dtype, size: int | Array, resolution: float) -> Array:
    """Which directions are numerically in the column space; written so that NaN stays, and stays NaN."""
    tolerance = jnp.maximum(float(jnp.finfo(dtype).eps) * size, resolution)
    return ~(sigma <= sigma[0] * tolerance)


def _label_spectrum(sigma: Array, coordinates: Array, significant: Array, total: Array, dtype: jnp.dtype) -> Spectrum:
    energy = jnp.where(significant[:, None], coordinates**2, 0)
    return Spectrum(sigma.astype(dtype), energy.astype(dtype), total.astype(dtype))
