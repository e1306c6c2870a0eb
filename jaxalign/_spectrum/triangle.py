"""The triangular factor: it takes the place of moments where there is no float64, and merges over
batches and devices as they do.
"""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from jaxalign._core.checks import as_dtype
from jaxalign._core.derivatives import without_derivative
from jaxalign._core.float64 import exactly
from jaxalign._core.platform import on_platform
from jaxalign._core.weighted_rows import as_row_numbers, as_weighted_rows
from jaxalign._spectrum.finish import Sizes
from jaxalign._spectrum.room import ONE_SUM, require_room
from jaxalign._spectrum.routes import triangular
from jaxalign._spectrum.routes.table import refuse_float64


@partial(jax.tree_util.register_dataclass, data_fields=("factor",), meta_fields=("width",))
@dataclass(frozen=True)
class Triangle:
    """R and QᵀY of [1 Φ] = QR, in the features' dtype: like Moments, but nothing is squared.

    ``a + b`` merges two sets of rows, ``spectrum(t)`` gives their spectrum, and ``spectrum(t,
    centered=True)`` that about the mean. A pytree; over devices it is merged by ``t.over(axis)``.

    Attributes:
      factor: (d + 2, d + 1 + k): R and QᵀY side by side, and in the last row zeros and the norms of
        Y − QQᵀY.
      width: d, the number of features.
    """

    factor: Float[Array, "*batch rows columns"]
    width: int

    def __add__(self, other: "Triangle") -> "Triangle":
        """The factor of both sets of rows together: one QR of the two on top of each other.

        Raises:
          ValueError: they differ in the number of features or targets, or in the features' dtype.
        """
        if not isinstance(other, Triangle):
            return NotImplemented
        facts = {
            "features": (self.width, other.width),
            "targets": (self._targets, other._targets),
            "dtype": (self.factor.dtype, other.factor.dtype),
        }
        for name, (own, others) in facts.items():
            if own != others:
                raise ValueError(
                    f"triangles that are added must agree in {name}, found {own} and {others}"
                )
        both = exactly(_stacked, self.factor, other.factor)
        return replace(self, factor=both).sum()

    def sum(self) -> "Triangle":
        """A batch of factors (a leading axis, as vmap makes it) merged into one."""
        merged = exactly(partial(_merged, width=self.width), self.factor)
        return replace(self, factor=merged)

    def over(self, axis: str | tuple[str, ...]) -> "Triangle":
        """Inside shard_map or pmap: merged over the devices of mesh axes, which exchange their
        factors only.
        """
        return replace(self, factor=jax.lax.all_gather(self.factor, axis)).sum()

    @property
    def weight(self) -> Float[Array, "*batch"]:
        """() Σ_i w_i: the number of rows, if none has a weight."""
        return exactly(_weight_of, self.factor)

    @property
    def num_samples(self) -> Int[Array, "*batch"]:
        """() int32 n, the number of rows; a row of weight w counts as w equal rows."""
        return exactly(num_samples_of, self.factor)

    def __radd__(self, other: object) -> "Triangle":
        """0 + t, with which ``sum([a, b])`` begins."""
        if isinstance(other, int) and other == 0:
            return self
        return NotImplemented

    @property
    def _targets(self) -> int:
        return self.factor.shape[-1] - 1 - self.width


def triangle(features: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None) -> Triangle:
    """The triangular factor R of diag(√w)[1 Φ] = QR of one batch of rows, and QᵀY, by Householder
    reflections.

    In float32 it resolves singular values down to 1e-7·σ_1, float32 moments would down to 3e-4·σ_1.
    Where float64 exists, ``moments`` are more accurate and faster.

    Args:
      features: (n, d) rows of Φ; the factor has their dtype, float32 at least.
      targets: (n, k) rows of Y; (n,) floats count as one column.
      weights: (n,) w_i ≥ 0, as in ``moments``.

    Returns:
      Triangle; ``a + b`` merges, ``spectrum(t)`` gives the spectrum.

    Raises:
      ValueError: as ``moments``; on a TPU float64 features.
      TypeError: when differentiated.

    Example:
      >>> import jaxalign as ja
      >>> a = ja.triangle([[3.0, 0.0]], [[1.0]])
      >>> b = ja.triangle([[0.0, 1.0], [0.0, 0.0]], [[1.0], [1.0]])
      >>> ja.spectrum(a + b).singular_values.round().tolist()
      [3.0, 1.0]

    Source: ours, on the tall-skinny QR of Demmel, Grigori, Hoemmen, Langou (2012).
    """
    phi, y, w = as_row_numbers(features, targets, weights)
    require_room(phi, y, 4, ONE_SUM)
    return exactly(_of_arrays, phi, y, w)


def _of_arrays(
    features: Array | np.ndarray, targets: Array | np.ndarray, weights: Array | np.ndarray | None
) -> Triangle:
    phi, y, w = as_weighted_rows(features, targets, weights)
    return Triangle(_of_rows(phi, as_dtype(y, phi.dtype), w), phi.shape[1])


def sizes_of_triangle(triangle: Triangle) -> Sizes:
    """The largest number in the factor of Φ, and the largest one of each target."""
    # Norms would square them, as the last row did.
    sizes = np.abs(np.asarray(triangle.factor, np.float64))
    sizes = np.where(np.isfinite(sizes), sizes, 0).max(axis=-2)
    own = triangle.width + 1
    return Sizes(float(sizes[..., 1:own].max()), sizes[..., own:])


def num_samples_of(factor: Float[Array, "*batch rows columns"]) -> Int[Array, "*batch"]:
    """() int32 n, the number of rows that a factor is of."""
    return jnp.round(_weight_of(factor)).astype(jnp.int32)


def _weight_of(factor: Float[Array, "*batch rows columns"]) -> Float[Array, "*batch"]:
    # The first column of [1 Φ] has the norm √(Σ w), which is its only entry in R.
    return factor[..., 0, 0] ** 2


def _stacked(*factors: Float[Array, "rows columns"]) -> Float[Array, "b rows columns"]:
    return jnp.stack(factors)


_REASON = (
    "a triangle has no derivative; differentiate spectrum(features, targets, method='triangular') "
    "instead"
)


@partial(without_derivative, reason=_REASON)
@jax.jit
def _of_rows(
    features: Float[Array, "n d"], targets: Float[Array, "n k"], weights: Float[Array, " n"] | None
) -> Float[Array, "rows columns"]:
    rows = jnp.pad(features, ((0, 0), (1, 0)), constant_values=1)
    if weights is not None:
        root = jnp.sqrt(weights.astype(rows.dtype))[:, None]
        rows = rows * root
        targets = targets * root
    if rows.dtype == jnp.float64:
        return on_platform(triangular.reduce, refuse_float64, rows, targets)
    return triangular.reduce(rows, targets)


@partial(jax.jit, static_argnums=(1,))
def _merged(factors: Float[Array, "b rows columns"], width: int) -> Float[Array, "rows columns"]:
    """One factor of a batch of them: that of their triangles on top of each other."""
    own = width + 1
    rows = factors[:, :-1].reshape(-1, factors.shape[-1])
    merged = triangular.reduce(rows[:, :own], rows[:, own:])
    # What is outside all column spaces stays outside: squared norms add.
    outside = jnp.sum(factors[:, -1] ** 2, axis=0)
    return merged.at[-1].set(jnp.sqrt(merged[-1] ** 2 + outside))
