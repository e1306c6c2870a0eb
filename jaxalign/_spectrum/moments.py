"""Moments: the sufficient statistics of a label spectrum, which add up over batches, devices and
hosts.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from jaxalign._core import npz
from jaxalign._core.float64 import exactly, float64_array, float64_inside
from jaxalign._core.kinds import require_choice, require_flag, require_kind
from jaxalign._core.platform import on_platform
from jaxalign._core.weighted_rows import as_row_numbers, as_weighted_rows
from jaxalign._spectrum import split_moments
from jaxalign._spectrum.basis import Basis
from jaxalign._spectrum.finish import Sizes
from jaxalign._spectrum.room import ONE_SUM, require_room
from jaxalign._spectrum.routes.refined import preconditioner
from jaxalign._spectrum.routes.table import chosen_device, route_for
from jaxalign._spectrum.row_products import row_products


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("products",),
    meta_fields=("width", "precision", "passes"),
)
@dataclass(frozen=True)
class Moments:
    """Σ_i w_i (φ_i, 1)(φ_i, 1, y_i)ᵀ and Σ_i w_i y_i², in float64 whatever the x64 flag says.

    ``a + b`` merges two sets of rows, ``spectrum(m)`` gives their spectrum, and ``spectrum(m,
    centered=True)`` that about the mean, which the column of ones makes possible. A pytree: it can
    be carried through jit, vmap and scan, and summed over devices by ``jax.lax.psum(m, axis)``.

    Attributes:
      products: (d + 2, d + 1 + k) float64, the squares of y in the last row. Products of two
        targets are not needed and not computed.
      width: d, the number of features.
      precision: dtype of the features, whose rounding sets the rank tolerance.
      passes: 1, or 2 for rows in the coordinates of a ``Basis``.
    """

    products: Float[Array, "*batch rows columns"]
    width: int
    precision: str
    passes: int = 1

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both sets of rows together.

        Raises:
          ValueError: they differ in the number of features or targets, or in the features' dtype.
        """
        if not isinstance(other, Moments):
            return NotImplemented
        self._require_like(other)
        return self._with(float64_inside(operator.add)(self.products, other.products))

    def __radd__(self, other: object) -> "Moments":
        """0 + m, with which ``sum([a, b])`` begins."""
        if isinstance(other, int) and other == 0:
            return self
        return NotImplemented

    def sum(self) -> "Moments":
        """A batch of moments (a leading axis, as vmap makes it) merged into one."""
        return self._with(float64_inside(partial(jnp.sum, axis=0))(self.products))

    @staticmethod
    def stack(each: Sequence["Moments"]) -> "Moments":
        """Several moments as one batch with a leading axis, as vmap makes it; ``sum`` merges it.

        Raises:
          ValueError: no moments, or as ``+``.

        Example:
          >>> import jaxalign as ja
          >>> each = [ja.moments([[3.0, 0.0]], [[1.0]]), ja.moments([[0.0, 1.0]], [[1.0]])]
          >>> ja.Moments.stack(each).sum().weight.item()
          2.0
        """
        require_kind(each, list | tuple, "each", "pass [moments(features, targets), ...]")
        if not each:
            raise ValueError("moments to stack are missing; pass at least one")
        for i, one in enumerate(each):
            require_kind(one, Moments, f"each[{i}]", "pass moments(features, targets)")
        for other in each[1:]:
            each[0]._require_like(other)
        stacked = float64_inside(lambda *products: jnp.stack(products))
        return each[0]._with(stacked(*(m.products for m in each)))

    def _require_like(self, other: "Moments") -> None:
        facts = {
            "features": (self.width, other.width),
            "targets": (self._targets, other._targets),
            "precision": (self.precision, other.precision),
            "passes": (self.passes, other.passes),
        }
        for name, (own, others) in facts.items():
            if own != others:
                found = f"found {own} and {others}"
                raise ValueError(f"moments that are added must agree in {name}, {found}")

    def _with(self, products: Array) -> "Moments":
        return replace(self, products=products)

    @property
    def weight(self) -> Float[Array, "*batch"]:
        """() float32 Σ_i w_i: the number of rows, if none has a weight."""

        def read(products: Array) -> Array:
            return products[..., self.width, self.width].astype(jnp.float32)

        return float64_inside(read)(self.products)

    @property
    def num_samples(self) -> Int[Array, "*batch"]:
        """() int32 n, the number of rows; a row of weight w counts as w equal rows."""

        def read(products: Array) -> Array:
            return jnp.round(products[..., self.width, self.width]).astype(jnp.int32)

        return float64_inside(read)(self.products)

    @property
    def _targets(self) -> int:
        return self.products.shape[-1] - 1 - self.width

    def save(self, file: str | Path) -> None:
        """Write everything to an .npz file; ``Moments.load`` gives it back bit for bit, on any
        host.
        """
        npz.save(file, self)

    @staticmethod
    def load(file: str | Path) -> "Moments":
        """Read what ``save`` wrote.

        Raises:
          ValueError: the file holds something else.
        """
        arrays = npz.load(file, Moments, "moments")
        meta = {name: arrays[name].item() for name in ("width", "precision", "passes")}
        return Moments(float64_array(arrays["products"]), **meta)


def sizes_of_moments(moments: Moments) -> Sizes:
    """The largest norm of a column of Φ, and the norm of each target."""
    products = np.asarray(moments.products)
    d = moments.width
    squares = np.diagonal(products[..., :d, :d], axis1=-2, axis2=-1)
    return Sizes(float(squares.max()) ** 0.5, np.sqrt(products[..., -1, d + 1 :]))


def basis(moments: Moments, *, centered: bool = False) -> Basis:
    """The basis for a second pass over the same rows, which gives the accuracy of a float64 SVD.

    One pass squares the condition number κ: σ_r has relative error eps·κ². In the coordinates that
    it gives, columns are nearly orthonormal, and a second pass over the same rows has error eps·κ:
    1e-12 at κ = 1e6 instead of 1e-5.

    Args:
      moments: of all rows, from the first pass.
      centered: for the spectrum about the mean.

    Returns:
      Basis, for ``moments(features, targets, basis=...)`` and, when those are summed, ``spectrum(m,
      basis=...)``.

    Raises:
      ValueError: moments of a second pass.

    Example:
      >>> from functools import partial
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> batches = [(np.eye(4, dtype=np.float32)[i : i + 2], np.ones((2, 1))) for i in (0, 2)]
      >>> b = ja.basis(ja.accumulate(batches))
      >>> second = ja.accumulate(batches, partial(ja.moments, basis=b))
      >>> ja.spectrum(second, basis=b).singular_values.tolist()
      [1.0, 1.0, 1.0, 1.0]

    Source: ours.
    """
    require_kind(moments, Moments, "moments", "pass moments(features, targets)")
    require_flag(centered, "centered")
    if moments.passes != 1:
        raise ValueError("moments must be those of a first pass, found those of a second")
    center, directions, scale = _basis(moments, centered)
    return Basis(center, directions, scale, centered)


@partial(jax.jit, static_argnums=(1,))
def _basis(moments: Moments, centered: bool) -> tuple[Array, Array, Array]:
    d = moments.width

    def run(precondition: Callable, products: Array) -> tuple[Array, Array, Array]:
        gram = products[:d, :d]
        center = jnp.zeros(d)
        if centered:
            # Σ w (φ − φ̄)(φ − φ̄)ᵀ = Σ w φφᵀ − (Σ w) φ̄φ̄ᵀ.
            center = products[d, :d] / products[d, d]
            gram = gram - jnp.outer(center, center) * products[d, d]
        return (center, *precondition(gram))

    return on_platform(
        float64_inside(partial(run, preconditioner)),
        partial(run, split_moments.preconditioner),
        moments.products,
    )


def moments(
    features: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    basis: Basis | None = None,
    method: Literal["auto", "split"] = "auto",
) -> Moments:
    """The moments Σ_i w_i (φ_i, 1)(φ_i, 1, y_i)ᵀ and Σ_i w_i y_i² of one batch of rows, accumulated
    in float64.

    They are not differentiable; ``spectrum(features, targets)`` is.

    Args:
      features: (n, d) rows of Φ.
      targets: (n, k) rows of Y; (n,) floats count as one column.
      weights: (n,) w_i ≥ 0, by default 1: the spectrum becomes that of diag(√w)Φ and diag(√w)Y. A
        row of weight 0 does not count and may hold anything, so booleans mask rows (padding, a
        class, a fold).
      basis: for a second pass, the ``basis`` of the first one: φ is then replaced by its
        coordinates in it.
      method: "auto": in float64, on a TPU as "split". "split": by exact products of integers, for
        float32 features, without float64 but in the result.

    Returns:
      Moments; ``a + b`` merges them in any order, ``spectrum(m)`` gives the spectrum.

    Raises:
      ValueError: as ``spectrum``; weights not of shape (n,), negative or not finite, squares
        beyond float64, or sums that memory has no room for (eager calls); a basis of another d.
      TypeError: when differentiated.

    Example:
      >>> import jaxalign as ja
      >>> a = ja.moments([[3.0, 0.0]], [[1.0]])
      >>> b = ja.moments([[0.0, 1.0], [0.0, 0.0]], [[1.0], [1.0]])
      >>> s = ja.spectrum(a + b)
      >>> s.singular_values.tolist(), s.energy.ravel().tolist(), s.total.tolist()
      ([3.0, 1.0], [1.0, 1.0], [3.0])

    Source: ours.
    """
    require_choice(method, ("auto", "split"), "method")
    phi, y, w = as_row_numbers(features, targets, weights)
    require_room(phi, y, 8, ONE_SUM)
    return exactly(partial(_of_arrays, method), phi, y, w, basis)


def _of_arrays(
    method: str,
    features: Array | np.ndarray,
    targets: Array | np.ndarray,
    weights: Array | np.ndarray | None,
    basis: Basis | None,
) -> Moments:
    phi, y, w = as_weighted_rows(features, targets, weights)
    d = phi.shape[1]
    if basis is not None and basis.scale.shape != (d,):
        raise ValueError(f"basis must be of d = {d} features, found one of {basis.scale.shape[0]}")
    route_for(method, phi)
    return moments_of(phi, y, w, basis, method)


def moments_of(
    features: Float[Array, "n d"],
    targets: Float[Array, "n k"],
    weights: Float[Array, " n"] | None = None,
    basis: Basis | None = None,
    method: str = "auto",
) -> Moments:
    """``moments`` of checked arrays."""
    products = row_products(features, targets, weights, basis, method)
    passes = 1 if basis is None else 2
    if isinstance(products, np.ndarray):
        products = float64_array(products, chosen_device(features))
    return Moments(float64_array(products), features.shape[1], features.dtype.name, passes)
