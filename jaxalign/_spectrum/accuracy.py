"""How a spectrum was computed, and how far to trust it."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxalign._core.checks import as_real_floats
from jaxalign._spectrum.moments import Basis, Moments
from jaxalign._spectrum.routes.table import ROUTES, Method, route_for, significant
from jaxalign._spectrum.spectrum import Spectrum, spectrum
from jaxalign._spectrum.triangle import Triangle


@partial(
    jax.tree_util.register_dataclass, data_fields=("condition",), meta_fields=("route", "precision")
)
@dataclass(frozen=True)
class SpectrumInfo:
    """What is known of a Spectrum beside itself. A pytree: it passes through jit and vmap.

    Attributes:
      condition: () κ = σ_1/σ_m of the smallest σ_m over the rank tolerance; directions under it
        count to none.
      route: "moments", "refined", "triangular" or "svd".
      precision: eps of the features' dtype.
    """

    condition: Array
    route: str
    precision: float

    @property
    def accuracy(self) -> str:
        """The class of σ_m's relative error: "full" (eps·κ in float64), "squared" (eps·κ²) or
        "single" (eps·κ in float32).
        """
        if self.route == "moments":
            return "squared"
        return "full" if ROUTES[self.route].FLOAT64 or self.precision < 1e-10 else "single"

    @property
    def error(self) -> Array:
        """() The relative error to expect of σ_m: of σ_i it is less by σ_m/σ_i, by its square in
        the class "squared".
        """
        eps = 2.0**-23 if self.accuracy == "single" else 2.0**-52
        return eps * self.condition ** (2 if self.accuracy == "squared" else 1)


def spectrum_and_info(
    features: ArrayLike | Moments | Triangle,
    targets: ArrayLike | None = None,
    *,
    method: Method = "auto",
    centered: bool = False,
    basis: Basis | None = None,
) -> tuple[Spectrum, SpectrumInfo]:
    """``spectrum`` with the same arguments, and by which route, at which condition number κ =
    σ_1/σ_m, it was computed.

    Raises:
      as ``spectrum``.

    Example:
      >>> import jaxalign as ja
      >>> s, info = ja.spectrum_and_info([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [[1.0], [1.0], [1.0]])
      >>> info.route, info.accuracy, float(info.condition)
      ('moments', 'squared', 3.0)

    Source: ours.
    """
    held = (
        features
        if isinstance(features, Moments | Triangle)
        else as_real_floats(features, "features")
    )
    found = spectrum(held, targets, method=method, centered=centered, basis=basis)
    return found, info_of(found, held, method)


def info_of(
    found: Spectrum, held: Array | Moments | Triangle, method: Method = "auto"
) -> SpectrumInfo:
    """The info of the spectrum ``found`` of ``held``."""
    size: int | Array
    if isinstance(held, Moments | Triangle):
        size = jnp.maximum(held.weight, held.width)
        route = (
            "triangular" if isinstance(held, Triangle) else ("moments", "refined")[held.passes - 1]
        )
    else:
        size, route = max(held.shape), route_for(method, held)
    sigma = found.singular_values
    kept = significant(sigma, sigma.dtype, size, route)
    smallest = jnp.min(jnp.where(kept, sigma, sigma[0]))
    return SpectrumInfo(
        jnp.where(sigma[0] > 0, sigma[0] / smallest, 1), route, float(jnp.finfo(sigma.dtype).eps)
    )
