"""From checked arrays Φ and Y to a Spectrum: on the host, or as a traced program with its
derivative.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.derivatives import ONLY_ONCE, without_derivative
from jaxalign._core.float64 import float64_inside
from jaxalign._core.known import is_on_host
from jaxalign._core.platform import on_platform
from jaxalign._spectrum.decomposition import Cotangents, pullback
from jaxalign._spectrum.routes import host
from jaxalign._spectrum.routes.table import ON_TPU, ROUTES, refuse_float64, significant
from jaxalign._spectrum.types import ROUTE_NAMES, Spectrum


def solve(
    features: Float[Array | np.ndarray, "n d"],
    targets: Float[Array | np.ndarray, "n k"],
    route: str,
    centered: bool,
) -> Spectrum:
    """``spectrum`` of checked arrays by a route; pass the result through ``finished``."""
    if route in host.ROUTES and is_on_host(features, targets):
        return solve_on_host(np.asarray(features), np.asarray(targets), route, centered)
    return spectrum_of(features, targets, max(features.shape), route, centered)


def solve_on_host(
    features: Float[np.ndarray, "n d"],
    targets: Float[np.ndarray, "n k"],
    route: str,
    centered: bool,
) -> Spectrum:
    """``solve`` by a route of ``host.ROUTES``: a Spectrum whose leaves are numpy arrays."""
    result = host.decompose(features, targets, route, centered=centered)
    in_span = significant(result.singular_values, features.dtype, max(features.shape), route)
    return label_spectrum(
        result.singular_values,
        result.coordinates,
        in_span,
        result.total,
        num_samples=len(features),
        route=route,
        dtype=features.dtype,
    )


def label_spectrum(
    sigma: Any,
    coordinates: Any,
    in_span: Any,
    total: Any,
    *,
    num_samples: Any,
    route: str,
    dtype: Any,
) -> Spectrum:
    """The Spectrum of a decomposition, of jax or numpy arrays, in the features' dtype.

    Args:
      sigma: (r,) σ.
      coordinates: (r, k) UᵀY.
      in_span: (r,) which directions are in the column space, as ``significant`` says.
      total: (k,) ‖y‖².
      num_samples: n.
      route: by name.
      dtype: of the features.
    """
    xp = sigma.__array_namespace__()
    # What the dtype does not hold, ``finished`` refuses.
    with np.errstate(over="ignore", under="ignore"):
        energy = xp.where(in_span[:, None], coordinates**2, 0)
        sigma = sigma.astype(dtype)
        energy = energy.astype(dtype)
        total = total.astype(dtype)
    return Spectrum(
        singular_values=sigma,
        energy=energy,
        total=total,
        num_samples=xp.asarray(num_samples).astype(np.int32),
        rank=xp.sum(in_span, dtype=np.int32),
        route=xp.asarray(ROUTE_NAMES.index(route), dtype=np.int32),
        dtype=np.dtype(dtype).name,
    )


def leading(spectrum: Spectrum, count: int) -> Spectrum:
    """The first ``count`` directions, where the others belong to columns or rows of zeros."""
    return replace(
        spectrum,
        singular_values=spectrum.singular_values[:count],
        energy=spectrum.energy[:count],
    )


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
@partial(jax.jit, static_argnums=(3, 4))
def spectrum_of(
    features: Array, targets: Array, size: ArrayLike, route: str, centered: bool
) -> Spectrum:
    """``spectrum`` of checked arrays by a route, or by the one that a TPU takes instead, with the
    rank tolerance of a matrix of ``size`` = max(n, d), which columns of zeros do not change.
    """
    return _by_platform(_spectrum_by, route, centered, features, targets, jnp.asarray(size))


def _by_platform(run: Callable, route: str, centered: bool, *arrays: Any) -> Any:
    """``run`` by a route, or by the one that a TPU takes instead."""
    usual: Callable = partial(run, route, centered)
    if ROUTES[route].float64:
        usual = float64_inside(usual)
    if arrays[0].dtype == jnp.float64:
        return on_platform(usual, refuse_float64, *arrays)
    if route not in ON_TPU:
        return usual(*arrays)
    return on_platform(usual, partial(run, ON_TPU[route], centered), *arrays)


def _spectrum_by(
    route: str, centered: bool, features: Array, targets: Array, size: ArrayLike
) -> Spectrum:
    with jax.named_scope(f"jaxalign {route}"):
        solved = ROUTES[route].solve(features, targets, centered, False)
    sigma = solved.parts.singular_values
    return label_spectrum(
        sigma,
        solved.parts.coordinates,
        significant(sigma, features.dtype, size, route),
        solved.total,
        num_samples=len(features),
        route=route,
        dtype=features.dtype,
    )


def _forward(
    features: ArrayLike, targets: ArrayLike, size: ArrayLike, route: str, centered: bool
) -> tuple[Spectrum, tuple]:
    # Only the arguments are residuals: the derivative decomposes them again, so that float64 never
    # leaves its scope.
    arguments = features, targets, size
    once = without_derivative(spectrum_of, ONLY_ONCE, static=(3, 4))
    return once(*arguments, route, centered), arguments


def _backward(
    route: str, centered: bool, arguments: tuple, cotangents: Spectrum
) -> tuple[Array, Array, None]:
    # The counts among the leaves have no derivative: their cotangents are float0.
    bars = cotangents.singular_values, cotangents.energy, cotangents.total
    return *_pulled_back(route, centered, arguments, bars), None


@partial(jax.jit, static_argnums=(0, 1))
def _pulled_back(
    route: str, centered: bool, arguments: tuple, bars: tuple[Array, Array, Array]
) -> tuple[Array, Array]:
    run = partial(_by_platform, _cotangents_by, route, centered)
    return without_derivative(run, ONLY_ONCE)(*arguments, *bars)


def _cotangents_by(
    route: str, centered: bool, features: Array, targets: Array, size: ArrayLike, *bars: Array
) -> tuple[Array, Array]:
    with jax.named_scope(f"jaxalign {route}"):
        parts, goal, _ = ROUTES[route].solve(features, targets, centered, True)
    in_span = significant(parts.singular_values, features.dtype, size, route)
    wide = Cotangents(*(bar.astype(goal.dtype) for bar in bars))
    # The difference of cotangents of σ that are closer than this is mostly rounding.
    closeness = float(jnp.finfo(features.dtype).eps) ** 0.5
    feature_bar, target_bar = pullback(parts, goal, in_span, closeness, wide)
    if centered:
        # x ↦ x − mean(x) is a symmetric projection: its transpose is that map itself.
        feature_bar = feature_bar - feature_bar.mean(axis=0, keepdims=True)
        target_bar = target_bar - target_bar.mean(axis=0, keepdims=True)
    return feature_bar.astype(features.dtype), target_bar.astype(targets.dtype)


spectrum_of.defvjp(_forward, _backward)
