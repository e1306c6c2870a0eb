"""Which route computes a spectrum: a choice by dtype and platform, the same under every
transformation.
"""

from collections.abc import Iterable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxalign._core.kinds import require_choice
from jaxalign._spectrum.routes import moments, refined, svd, triangular

Method = Literal["auto", "moments", "refined", "triangular", "svd"]

ROUTES = {
    "moments": moments.ROUTE,
    "refined": refined.ROUTE,
    "triangular": triangular.ROUTE,
    "svd": svd.ROUTE,
}


def require_method(method: str, allowed: Iterable[str] = ROUTES) -> None:
    """Raise for a method that is neither "auto" nor allowed."""
    remedy = ""
    if isinstance(method, str) and method == "quadrature":
        remedy = ", which gives no whole spectrum; call quadrature instead"
    require_choice(method, ("auto", *allowed), "method", remedy)


def route_for(method: str, features: Array) -> str:
    """The route that ``method`` means for (n, d) features; an unknown method is refused."""
    require_method(method)
    if method != "auto":
        return method
    # A TPU emulates float64, and has no eigensolver for it.
    if features.dtype == jnp.float64 or platform_of(features) == "tpu":
        return "triangular"
    return "moments"


def significant(sigma: Any, dtype: Any, size: Any, route: str) -> Any:
    """Which of (r,) σ, descending, of jax or of numpy, are numerically in the column space.

    Those above σ_1·eps·size, size = max(n, d), with the eps of the features' dtype, and above the
    route's resolution.
    """
    # `not <=` instead of `>`: NaN counts as significant, and stays NaN in what follows.
    xp = sigma.__array_namespace__()
    size = xp.asarray(size, dtype=sigma.dtype)
    tolerance = xp.maximum(float(jnp.finfo(dtype).eps) * size, ROUTES[route].resolution)
    return ~(sigma <= sigma[0] * tolerance)


def device_of(x: Array | np.ndarray) -> jax.Device | None:
    """The first device that ``x`` is on; None for a traced ``x`` and for one of numpy."""
    if isinstance(x, jax.core.Tracer | np.ndarray):
        return None
    return next(iter(x.devices()))


def platform_of(x: Array) -> str:
    """The platform of the device that ``x`` is on; the default one for a traced ``x``."""
    device = device_of(x)
    if device is None:
        return jax.default_backend()
    return device.platform
