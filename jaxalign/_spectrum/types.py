"""The label spectrum (σ, (UᵀY)², ‖Y‖²): the three small arrays behind every measure."""

from typing import NamedTuple

from jax import Array


class Spectrum(NamedTuple):
    """How the targets lie along the left singular vectors u_i of Φ (n, d); r = min(n, d). A pytree:
    it batches.

    Attributes:
      singular_values: (r,) σ_i, descending.
      energy: (r, k) (u_iᵀ y_j)², 0 where σ_i ≤ σ_1·eps·max(n, d) (eps of the features' dtype):
        numerically, such a direction is not in the column space.
      total: (k,) ‖y_j‖², the part outside the column space included.
    """

    singular_values: Array
    energy: Array
    total: Array
