"""The coordinates of a second pass over the rows."""

from dataclasses import dataclass
from functools import partial

import jax
from jax import Array
from jaxtyping import Float


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("center", "directions", "scale"),
    meta_fields=("centered",),
)
@dataclass(frozen=True)
class Basis:
    """The coordinates of a second pass: rows (φ − center)·directions/scale, whose columns are
    nearly orthonormal.

    Attributes:
      center: (d,) float64, the mean of the first pass, or 0.
      directions: (d, d) float64, the first pass's eigenvectors V.
      scale: (d,) float64, its singular values; those below its resolution are raised to it.
      centered: whether the spectrum will be that about the mean.
    """

    center: Float[Array, "*batch d"]
    directions: Float[Array, "*batch d d"]
    scale: Float[Array, "*batch d"]
    centered: bool
