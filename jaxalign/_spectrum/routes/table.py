"""Which route computes a spectrum: a choice by dtype and platform, the same under every
transformation.
"""

from collections.abc import Iterable
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxalign._core.kinds import require_choice
from jaxalign._spectrum.routes import moments, refined, split, svd, triangular

Method = Literal["auto", "moments", "refined", "triangular", "svd", "split"]

ROUTES = {
    "moments": moments.ROUTE,
    "refined": refined.ROUTE,
    "triangular": triangular.ROUTE,
    "svd": svd.ROUTE,
    "split": split.ROUTE,
    "svd in float32": svd.FLOAT32_ROUTE,
}
METHODS = tuple(name for name in get_args(Method) if name != "auto")

ON_TPU = {"moments": "split", "refined": "split", "svd": "svd in float32"}
"""The routes that a TPU, which has no float64, takes instead."""

MOST_ROWS = 2**17
"""The rank tolerance eps·max(n, d) is a bound that rounding stays far below; of float32 and more
rows than this it would cut directions of 1 % of σ_1, and of ten million rows all of them.
"""

_NO_FLOAT64 = (
    "features must be float32 on a TPU, which has no float64, found float64; "
    "pass features.astype('float32'), or compute on a CPU"
)


def require_method(method: str, allowed: Iterable[str] = METHODS) -> None:
    """Raise for a method that is neither "auto" nor allowed."""
    remedy = ""
    if isinstance(method, str) and method == "quadrature":
        remedy = ", which gives no whole spectrum; call quadrature instead"
    require_choice(method, ("auto", *allowed), "method", remedy)


def route_for(method: str, features: Array | np.ndarray) -> str:
    """The route that ``method`` means for (n, d) features, where there is float64; ``ON_TPU``
    has those of a TPU. An unknown method is refused, and float64 where the route has none.
    """
    require_method(method)
    is_float64 = features.dtype == jnp.float64
    if is_float64 and method == "split":
        raise ValueError(
            "method 'split' is for float32 features, found float64; "
            "pass method='refined', or features.astype('float32')"
        )
    device = device_of(features)
    if is_float64 and device is not None and device.platform == "tpu":
        raise ValueError(_NO_FLOAT64)
    if method != "auto":
        return method
    return "triangular" if is_float64 else "moments"


def refuse_float64(*arrays: Array) -> Any:
    """What a TPU does with float64 features."""
    raise ValueError(_NO_FLOAT64)


def significant(sigma: Any, dtype: Any, size: Any, route: str) -> Any:
    """Which of (r,) σ, descending, of jax or of numpy, are numerically in the column space.

    Those above σ_1·``rank_tolerance``, and above the route's resolution.
    """
    # `not <=` instead of `>`: NaN counts as significant, and stays NaN in what follows.
    xp = sigma.__array_namespace__()
    tolerance = rank_tolerance(dtype, xp.asarray(size, dtype=sigma.dtype))
    return ~(sigma <= sigma[0] * xp.maximum(tolerance, ROUTES[route].resolution))


def rank_tolerance(dtype: Any, size: Any) -> Any:
    """eps·min(size, ``MOST_ROWS``): the share of σ_1 up to which a σ is rounding.

    Args:
      dtype: of the features.
      size: max(n, d), an array of jax or of numpy.
    """
    return float(jnp.finfo(dtype).eps) * size.__array_namespace__().minimum(size, MOST_ROWS)


def chosen_device(x: Array | np.ndarray) -> jax.Device | None:
    """The device that a user put ``x`` on, where results of it belong; None if nobody chose one."""
    if isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer) and x.committed:
        return device_of(x)
    return None


def device_of(x: Array | np.ndarray) -> jax.Device | None:
    """The first device that ``x`` is on; None for a traced ``x`` and for one of numpy."""
    if isinstance(x, jax.core.Tracer | np.ndarray):
        return None
    return next(iter(x.devices()))
