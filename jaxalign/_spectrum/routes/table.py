"""Which route computes a spectrum: a choice by dtype and platform, the same under every
transformation.
"""

from collections.abc import Iterable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxalign._spectrum.routes import moments, refined, svd, triangular

Method = Literal["auto", "moments", "refined", "triangular", "svd"]

ROUTES = {"moments": moments, "refined": refined, "triangular": triangular, "svd": svd}


def require_method(method: str, allowed: Iterable[str] = ROUTES) -> None:
    """Raise for a method that is neither "auto" nor allowed."""
    if method not in ("auto", *allowed):
        raise ValueError(
            f"method must be 'auto', {', '.join(map(repr, allowed))}, found {method!r}"
        )


def route_for(method: str, features: Array) -> str:
    """The route that ``method`` means for (n, d) features; raises for an unknown one."""
    require_method(method)
    if method != "auto":
        return method
    # A TPU emulates float64, and has no eigensolver for it.
    return (
        "triangular"
        if features.dtype == jnp.float64 or platform_of(features) == "tpu"
        else "moments"
    )


def significant(sigma: Array, dtype: jnp.dtype, size: ArrayLike, route: str) -> Array:
    """Which of (r,) σ, descending, are numerically in the column space; written so that NaN stays,
    and stays NaN.
    """
    tolerance = jnp.maximum(float(jnp.finfo(dtype).eps) * size, ROUTES[route].RESOLUTION)
    return ~(sigma <= sigma[0] * tolerance)


def device_of(x: Array) -> jax.Device | None:
    """The (first) device that ``x`` lies on; None for a traced ``x``."""
    return None if isinstance(x, jax.core.Tracer) else next(iter(x.devices()))


def platform_of(x: Array) -> str:
    """Where ``x`` lies, or where a traced ``x`` will."""
    device = device_of(x)
    return jax.default_backend() if device is None else device.platform
