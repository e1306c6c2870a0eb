"""The label spectrum (σ, (UᵀY)², ‖Y‖²) of a representation: the three small arrays behind every
measure.
"""

from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxalign._core.checks import as_matrices, is_concrete, is_on_host
from jaxalign._core.float64 import float64_inside
from jaxalign._core.linalg import matmul, svd
from jaxalign._spectrum.decomposition import Cotangents, Decomposition, pullback
from jaxalign._spectrum.moments import Basis, Moments
from jaxalign._spectrum.routes import host, refined
from jaxalign._spectrum.routes.moments import over, singular_vectors
from jaxalign._spectrum.routes.table import ROUTES, Method, device_of, route_for, significant
from jaxalign._spectrum.triangle import Triangle
from jaxalign._spectrum.types import Spectrum


def spectrum(
    features: ArrayLike | Moments | Triangle,
    targets: ArrayLike | None = None,
    *,
    method: Method = "auto",
    centered: bool = False,
    basis: Basis | None = None,
) -> Spectrum:
    """The label spectrum σ_i, (u_iᵀ y_j)², ‖y_j‖² of Φ = U diag(σ) Vᵀ and Y.

    Computed in float64 whatever the dtype outside and the global x64 flag, returned in the
    features' dtype. Works under jit, vmap, grad, scan and shard_map. Gradients are right also at
    repeated singular values and for rank-deficient Φ, for every function of the spectral measure
    (areas, curves, sums over σ_i); there is reverse mode only, and only once.

    Args:
      features: (n, d) Φ, any real dtype; tall or wide. ``prepare`` makes it from activations. Or
        Moments or a Triangle, alone.
      targets: (n, k) Y; (n,) floats count as one column. ``encode_targets`` makes it from labels.
      method: "moments": eigenvectors of ΦᵀΦ (ΦΦᵀ when wide), which resolve 6e-8·σ_1: what lies
        under that counts to no direction; "refined": a second pass over Φ in their coordinates,
        which has the accuracy of a float64 SVD; "triangular": from R of [Φ Y] = QR, in the
        features' dtype, with that of an SVD in it; "svd": the plain SVD in float64, slowest;
        "auto": "moments" for float32 features, "triangular" for float64 ones and on a TPU.
      centered: subtract the mean of every column of Φ and Y first. By default they are taken as
        they are.
      basis: for Moments of a second pass, the basis they were taken in, which also says whether
        they are centred.

    Returns:
      Spectrum of r = min(n, d) singular values; of d from Moments and triangles, whose n is no
      shape.

    Raises:
      ValueError: features or targets empty, not matrices, of different n (says so when features
        look transposed), or not finite (eager calls; traced, NaN in gives NaN out); integer targets
        (n,); targets missing; an unknown method; Moments with targets, with a method, or with a
        basis that is missing or not theirs.
      TypeError: complex features or targets.
      FloatingPointError: the eigensolver failed on finite input (eager calls; traced, the result is
        NaN).

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [[1.0], [1.0], [1.0]])
      >>> s.singular_values.tolist(), s.energy.ravel().tolist(), s.total.tolist()
      ([3.0, 1.0], [1.0, 1.0], [3.0])

    Source: the measure's ingredients are Eq. 1 of Imani, Hu, White (TMLR 2022); routes and
      derivative are ours.
    """
    if isinstance(features, Moments | Triangle):
        _require_alone(features, targets, method, centered, basis)
        if isinstance(features, Triangle):
            return converged(_of_triangle(features, centered))
        return converged(
            _of_moments(features, basis, centered or (basis is not None and basis.centered))
        )
    if basis is not None:
        raise ValueError(
            "basis is for spectrum(moments, basis=...); for arrays pass method='refined'"
        )
    if targets is None:
        raise ValueError("targets are missing; pass spectrum(features, targets)")
    features, targets = as_matrices(features, targets)
    return converged(
        solve(features, targets, route_for(method, features), centered), device_of(features)
    )


def solve(features: Array, targets: Array, route: str, centered: bool) -> Spectrum:
    """``spectrum`` of arrays that were checked, by a route, to be passed through ``converged``."""
    if route in host.ROUTES and is_on_host(features, targets):
        return solve_on_host(np.asarray(features), np.asarray(targets), route, centered)
    if centered:
        features, targets = features - features.mean(axis=0), targets - targets.mean(axis=0)
    return spectrum_of(features, targets, max(features.shape), route)


def solve_on_host(
    features: np.ndarray, targets: np.ndarray, route: str, centered: bool
) -> Spectrum:
    """``solve`` by a route of ``host.ROUTES``: a Spectrum of numpy's arrays."""
    dtype = features.dtype
    if centered:
        features, targets = (
            x - x.mean(axis=0, dtype=np.float64).astype(dtype) for x in (features, targets)
        )
    sigma, coordinates, total = host.decompose(features, targets, route)
    tolerance = float(np.finfo(dtype).eps) * max(features.shape)
    kept = ~(sigma <= sigma[0] * max(tolerance, ROUTES[route].RESOLUTION))
    energy = np.where(kept[:, None], coordinates**2, 0)
    return Spectrum(*(x.astype(dtype) for x in (sigma, energy, total)))  # type: ignore[arg-type]  # numpy's, until placed


def _require_alone(
    held: Moments | Triangle, targets, method: str, centered: bool, basis: Basis | None
) -> None:
    name = type(held).__name__
    if targets is not None or method not in (
        "auto",
        "triangular" if isinstance(held, Triangle) else "moments",
    ):
        raise ValueError(f"spectrum({name}) takes no targets and no other method: both are in it")
    if (basis is not None) != (isinstance(held, Moments) and held.passes == 2):
        raise ValueError(
            f"a basis goes with Moments of a second pass, found {'one' if basis else 'none'} with a {name}"
        )
    if basis is not None and centered and not basis.centered:
        raise ValueError("the basis is not centred; make it by basis(first, centered=True)")


Found = TypeVar("Found", Spectrum, list[Spectrum])


def converged(found: Found, device: jax.Device | None = None) -> Found:
    """``found``, unless it can be read now and is not finite: the input was, so a LAPACK or
    cuSOLVER routine failed.

    Numpy's arrays are placed on the device.
    """
    leaves = jax.tree.leaves(found)
    if not all(map(is_concrete, leaves)):
        return found
    if all(isinstance(x, np.ndarray) for x in leaves):
        finite = all(np.isfinite(x).all() for x in leaves)
    else:
        with jax.ensure_compile_time_eval():
            finite = bool(_all_finite(found))
    if not finite:
        raise FloatingPointError(
            "the eigensolver failed on finite input; pass method='svd', or scale the features"
        )
    with jax.enable_x64(True):
        return (
            jax.device_put(found, device)
            if any(isinstance(x, np.ndarray) for x in leaves)
            else found
        )


@jax.jit
def _all_finite(found: Spectrum | list[Spectrum]) -> Array:
    return jax.tree.reduce(lambda so_far, x: so_far & jnp.isfinite(x).all(), found, jnp.array(True))


@partial(jax.jit, static_argnames="centered")
def _of_moments(moments: Moments, basis: Basis | None, centered: bool) -> Spectrum:
    d, dtype = moments.width, jnp.dtype(moments.precision)

    def solve(products, basis):
        ones, weight, total = products[d], products[d, d], products[-1, d + 1 :]
        if centered:
            products = products[:d] - jnp.outer(ones[:d], ones) / weight
            total = total - ones[d + 1 :] ** 2 / weight
        gram, cross = products[:d, :d], products[:d, d + 1 :]
        if basis is None:
            sigma, right = singular_vectors(gram)
            coordinates = over(matmul(cross.T, right), sigma).T
        else:
            sigma, coordinates = refined.finish(gram, cross, basis.scale)[:2]
        kept = significant(
            sigma, dtype, jnp.maximum(weight, d), "moments" if basis is None else "refined"
        )
        return _label_spectrum(sigma, coordinates, kept, total, dtype)

    return float64_inside(solve)(moments.products, basis)


@partial(jax.jit, static_argnames="centered")
def _of_triangle(triangle: Triangle, centered: bool) -> Spectrum:
    d, factor = triangle.width, triangle.factor
    rows = (
        factor[1:] if centered else factor
    )  # the last one is what is left of Y, 0 in the columns of Φ
    left, sigma, _ = svd(rows[:-1, 1 : d + 1])
    coordinates = matmul(left.T, rows[:-1, d + 1 :])
    kept = significant(sigma, factor.dtype, jnp.maximum(triangle.weight, d), "triangular")
    return _label_spectrum(
        sigma, coordinates, kept, jnp.sum(rows[:, d + 1 :] ** 2, axis=0), factor.dtype
    )


@partial(jax.custom_vjp, nondiff_argnums=(3,))
@partial(jax.jit, static_argnums=(3,))
def spectrum_of(features: Array, targets: Array, size: ArrayLike, route: str) -> Spectrum:
    """``spectrum`` of arrays that were checked, by a route, with the rank tolerance of a matrix of
    ``size`` = max(n, d).
    """

    def solve(features, targets, size):
        parts, kept, targets = _decompose(features, targets, size, route)
        total = jnp.sum(targets**2, axis=0)
        return _label_spectrum(
            parts.singular_values, parts.coordinates, kept, total, features.dtype
        )

    return _scope(route)(solve)(features, targets, size)


def _forward(
    features: Array, targets: Array, size: ArrayLike, route: str
) -> tuple[Spectrum, tuple]:
    # Only the arguments are kept: the derivative decomposes them again, so that float64 never
    # crosses its scope.
    return spectrum_of(features, targets, size, route), (features, targets, size)


@partial(jax.jit, static_argnums=(0,))
def _backward(route: str, arguments: tuple, cotangents: Spectrum) -> tuple[Array, Array, None]:
    def solve(features, targets, size, *cotangents):
        parts, kept, wide_targets = _decompose(features, targets, size, route)
        wide = Cotangents(*(c.astype(wide_targets.dtype) for c in cotangents))
        closeness = (
            float(jnp.finfo(features.dtype).eps) ** 0.5
        )  # below it, cotangents are mostly rounding
        bars = pullback(parts, wide_targets, kept, closeness, wide)
        return tuple(bar.astype(features.dtype) for bar in bars)

    return *_scope(route)(solve)(*arguments, *cotangents), None


spectrum_of.defvjp(_forward, _backward)


def _scope(route: str):
    return float64_inside if ROUTES[route].FLOAT64 else lambda function: function


def _decompose(
    features: Array, targets: Array, size: ArrayLike, route: str
) -> tuple[Decomposition, Array, Array]:
    """The route's decomposition, which of its directions are numerically in the column space, and Y
    in its dtype.
    """
    if ROUTES[route].FLOAT64:
        targets = targets.astype(jnp.float64)
    parts = ROUTES[route].decompose(features, targets)
    return parts, significant(parts.singular_values, features.dtype, size, route), targets


def _label_spectrum(
    sigma: Array, coordinates: Array, kept: Array, total: Array, dtype: jnp.dtype
) -> Spectrum:
    energy = jnp.where(kept[:, None], coordinates**2, 0)
    return Spectrum(sigma.astype(dtype), energy.astype(dtype), total.astype(dtype))
