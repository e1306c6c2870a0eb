"""The label spectrum (σ, (UᵀY)², ‖Y‖²) of a representation: the small arrays that every measure is
computed from.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from jaxalign._core.reprs import are_readable, in_words

ROUTE_NAMES = (
    "moments",
    "refined",
    "triangular",
    "svd",
    "quadrature",
    "split",
    "svd in float32",
)
"""The ways to compute a spectrum; ``Spectrum.route`` is a position in this tuple."""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("singular_values", "energy", "total", "num_samples", "rank", "route"),
    meta_fields=("dtype",),
)
@dataclass(frozen=True, eq=False, repr=False)
class Spectrum:
    """How the targets Y (n, k) lie along the left singular vectors u_i of Φ (n, d); r = min(n, d).

    A pytree whose only static field is ``dtype``: spectra of different routes stack, map and merge.
    A batch of spectra is a Spectrum whose arrays have a leading axis.

    Attributes:
      singular_values: (r,) σ_i, descending.
      energy: (r, k) (u_iᵀ y_j)²; 0 for i ≥ ``rank``, where u_i is not in the column space.
      total: (k,) ‖y_j‖², the part outside the column space included.
      num_samples: () int32 n; a row of weight w counts as w equal rows.
      rank: () int32, how many σ_i exceed σ_1·eps·min(max(n, d), 2¹⁷), with the eps of ``dtype``,
        and the resolution of the route. −1 from a quadrature, which counts no singular values.
      route: () int32, the way it was computed, a position in ``ROUTE_NAMES``.
      dtype: of the features, whose rounding sets the rank tolerance.
    """

    singular_values: Float[Array, "*batch r"]
    energy: Float[Array, "*batch r k"]
    total: Float[Array, "*batch k"]
    num_samples: Int[Array, "*batch"]
    rank: Int[Array, "*batch"]
    route: Int[Array, "*batch"]
    dtype: str

    @property
    def condition(self) -> Float[Array, "*batch"]:
        """() κ = σ_1/σ_m of the smallest singular value above the rank tolerance; 1 without one,
        and NaN of a quadrature, which counts none.
        """
        last = jnp.maximum(jnp.asarray(self.rank) - 1, 0)[..., None]
        smallest = jnp.take_along_axis(self.singular_values, last, axis=-1)[..., 0]
        largest = self.singular_values[..., 0]
        # Features of zeros have κ = 1; the inner `where` keeps 0/0 out of derivatives.
        condition = jnp.where(largest > 0, largest / jnp.where(largest > 0, smallest, 1), 1)
        return jnp.where(jnp.asarray(self.rank) < 0, jnp.nan, condition)

    @property
    def error(self) -> Float[Array, "*batch"]:
        """() The relative error to expect of σ_m, the smallest above the rank tolerance.

        eps·κ² with the eps of float64 for "moments", eps·κ for the other routes: with the eps of
        float64, but for "triangular" and "svd in float32" with that of ``dtype``. 2⁻⁴⁸·κ² for
        "split", of sums in what a TPU has for float64; from arrays it is far smaller. For a larger
        σ_i it is smaller by the factor σ_m/σ_i.
        """
        is_split = self.route == ROUTE_NAMES.index("split")
        squared = (self.route == ROUTE_NAMES.index("moments")) | is_split
        in_own_dtype = self.route == ROUTE_NAMES.index("triangular")
        in_own_dtype |= self.route == ROUTE_NAMES.index("svd in float32")
        eps = jnp.where(in_own_dtype, float(jnp.finfo(self.dtype).eps), 2.0**-52)
        eps = jnp.where(is_split, 2.0**-48, eps)
        return eps * self.condition ** jnp.where(squared, 2, 1)

    @property
    def route_name(self) -> str:
        """The route by name, of one spectrum outside ``jit``."""
        return ROUTE_NAMES[int(self.route)]

    def __rich__(self) -> Any:
        """How much of the targets the first directions hold, where ``rich`` prints it."""
        from jaxalign._spectrum.shown import as_table

        return as_table(self)

    def __repr__(self) -> str:
        if not is_one_readable(self):
            return f"Spectrum({in_words('energy', self.energy)}, dtype={self.dtype!r})"
        shape = np.shape(self.energy)
        return (
            f"Spectrum(num_samples={int(self.num_samples)}, rank={int(self.rank)} of {shape[-2]}, "
            f"targets={shape[-1]}, route={self.route_name!r}, dtype={self.dtype!r})"
        )


def is_one_readable(spectrum: Spectrum) -> bool:
    """Whether it is one spectrum, no batch, whose numbers can be read now."""
    return are_readable(*jax.tree.leaves(spectrum)) and np.ndim(spectrum.energy) == 2
