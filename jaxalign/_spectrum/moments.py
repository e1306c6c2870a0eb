"""Moments: the sufficient statistics of a label spectrum, which add up over batches, devices, days
and hosts.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxalign._core.checks import as_weighted_rows, is_on_host
from jaxalign._core.float64 import float64_inside
from jaxalign._core.linalg import matmul
from jaxalign._spectrum.routes import host
from jaxalign._spectrum.routes.moments import products
from jaxalign._spectrum.routes.refined import preconditioner


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("products",),
    meta_fields=("width", "precision", "passes"),
)
@dataclass(frozen=True)
class Moments:
    """Σ_i w_i (φ_i, 1)(φ_i, 1, y_i)ᵀ and Σ_i w_i y_i², in float64 whatever the x64 flag says. A
    monoid under ``+``.

    ``spectrum(m)`` finishes it, ``spectrum(m, centered=True)`` about the mean: the ones hold what
    that needs. A pytree: it can be carried through jit, vmap and scan, and summed over devices by
    ``jax.lax.psum(m, axis)``.

    Attributes:
      products: (d + 2, d + 1 + k) float64, the squares of y in the last row; of two targets no
        product is kept.
      width: d, the number of features.
      precision: dtype of the features, whose rounding sets the rank tolerance.
      passes: 1, or 2 for rows in the coordinates of a ``Basis``.
    """

    products: Array
    width: int
    precision: str
    passes: int = 1

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both sets of rows together.

        Raises:
          ValueError: another number of features or targets, or features of another dtype.
        """
        if not isinstance(other, Moments):
            return NotImplemented
        self._require_like(other)
        return self._with(float64_inside(operator.add)(self.products, other.products))

    def __radd__(self, other: object) -> "Moments":
        """``sum([a, b])`` begins at 0."""
        return self if other == 0 else NotImplemented

    def sum(self) -> "Moments":
        """A batch of moments (a leading axis, as vmap makes it) merged into one."""
        return self._with(float64_inside(partial(jnp.sum, axis=0))(self.products))

    @staticmethod
    def stack(each: Sequence["Moments"]) -> "Moments":
        """Several moments as one batch, of a leading axis, as vmap makes it; ``sum`` merges it.

        Raises:
          ValueError: none, or as ``+``.

        Example:
          >>> import jaxalign as ja
          >>> each = [ja.moments([[3.0, 0.0]], [[1.0]]), ja.moments([[0.0, 1.0]], [[1.0]])]
          >>> ja.Moments.stack(each).sum().weight.item()
          2.0
        """
        if not each:
            raise ValueError("moments to stack are missing; pass at least one")
        for other in each[1:]:
            each[0]._require_like(other)
        return each[0]._with(
            float64_inside(lambda *products: jnp.stack(products))(*(m.products for m in each))
        )

    def _require_like(self, other: "Moments") -> None:
        for what, mine, theirs in (
            ("features", self.width, other.width),
            ("targets", self._targets, other._targets),
            ("precision", self.precision, other.precision),
            ("passes", self.passes, other.passes),
        ):
            if mine != theirs:
                raise ValueError(
                    f"moments that are added must agree in {what}, found {mine} and {theirs}"
                )

    def _with(self, products: Array) -> "Moments":
        return replace(self, products=products)

    @property
    def weight(self) -> Array:
        """() float32 Σ_i w_i: the number of rows, if none has a weight."""
        return float64_inside(
            lambda products: products[..., self.width, self.width].astype(jnp.float32)
        )(self.products)

    @property
    def num_samples(self) -> Array:
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
        with open(file, "wb") as stream:
            np.savez(stream, **{**vars(self), "products": np.asarray(self.products)})

    @staticmethod
    def load(file: str | Path) -> "Moments":
        """Read what ``save`` wrote.

        Raises:
          ValueError: the file holds something else.
        """
        with np.load(file, allow_pickle=False) as held:
            if set(held.files) != {field.name for field in fields(Moments)}:
                raise ValueError(f"{file} holds no moments: its arrays are {sorted(held.files)}")
            meta = {name: held[name].item() for name in ("width", "precision", "passes")}
            return Moments(_as_float64(held["products"]), **meta)


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
      scale: (d,) float64, its singular values, lifted to what it resolves.
      centered: whether the spectrum will be that about the mean.
    """

    center: Array
    directions: Array
    scale: Array
    centered: bool


def basis(moments: Moments, *, centered: bool = False) -> Basis:
    """The basis for a second pass over the same rows, which gives the accuracy of a float64 SVD.

    One pass squares the condition number κ: σ_r has relative error eps·κ². In the coordinates found
    by it, the columns are nearly orthonormal, and a second pass over the same rows gives eps·κ:
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
      >>> ja.spectrum(ja.accumulate(batches, partial(ja.moments, basis=b)), basis=b).singular_values.tolist()
      [1.0, 1.0, 1.0, 1.0]

    Source: ours.
    """
    if moments.passes != 1:
        raise ValueError(
            "a basis is made from the moments of a first pass, found those of a second"
        )
    center, directions, scale = _basis(moments, centered)
    return Basis(center, directions, scale, centered)


@partial(jax.jit, static_argnums=(1,))
def _basis(moments: Moments, centered: bool) -> tuple[Array, Array, Array]:
    d = moments.width

    def solve(products):
        gram, center = products[:d, :d], jnp.zeros(d)
        if centered:
            center = products[d, :d] / products[d, d]
            gram = gram - jnp.outer(center, center) * products[d, d]
        return (center, *preconditioner(gram))

    return float64_inside(solve)(moments.products)


def moments(
    features: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    basis: Basis | None = None,
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
      basis: for a second pass, the ``basis`` that the first one gives: φ is then replaced by its
        coordinates in it.

    Returns:
      Moments; ``a + b`` merges them in any order, ``spectrum(m)`` finishes.

    Raises:
      ValueError: as ``spectrum``; weights not of shape (n,), negative or not finite (eager calls);
        a basis of another d.
      OverflowError: float64 features so large that their squares are infinite (eager calls).
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
    features, targets, weights = as_weighted_rows(features, targets, weights)
    d = features.shape[1]
    if basis is not None and basis.scale.shape != (d,):
        raise ValueError(f"basis must be of d = {d} features, found one of {basis.scale.shape[0]}")
    return moments_of(features, targets, weights, basis)


def moments_of(
    features: Array, targets: Array, weights: Array | None = None, basis: Basis | None = None
) -> Moments:
    """``moments`` of arrays that were checked."""
    if is_on_host(features, targets):
        products = _on_host(features, targets, weights, basis)
    else:
        products = _products(features, targets, weights, basis)
    passes = 1 if basis is None else 2
    return Moments(_as_float64(products), features.shape[1], features.dtype.name, passes)


def _on_host(
    features: Array, targets: Array, weights: Array | None, basis: Basis | None
) -> np.ndarray:
    coordinates = host.Coordinates()
    if basis is not None:
        directions = np.asarray(basis.directions) / np.asarray(basis.scale)
        coordinates = host.Coordinates(np.asarray(basis.center), directions)
    rows = np.asarray(features)
    own_weights = None if weights is None else np.asarray(weights)
    products = host.products(rows, np.asarray(targets), own_weights, coordinates)
    d = rows.shape[1]
    own = products[: d + 1, : d + 1]
    own += np.triu(own, 1).T
    return products


def _as_float64(x: Array | np.ndarray) -> Array:
    with jax.enable_x64(True):
        return jnp.asarray(x)


@jax.custom_jvp
@jax.jit
def _products(features: Array, targets: Array, weights: Array | None, basis: Basis | None) -> Array:
    n, d = features.shape

    def run(features, targets, weights, basis):
        columns = [features, jnp.ones((n, 1), features.dtype), targets]
        if basis is not None:
            shifted = features.astype(jnp.float64) - basis.center
            columns[0] = matmul(shifted, basis.directions / basis.scale)
        if weights is not None:
            root = jnp.sqrt(weights.astype(jnp.float64))[:, None]
            columns = [c.astype(jnp.float64) * root for c in columns]
        squares = jnp.sum(columns[2].astype(jnp.float64) ** 2, axis=0)
        return jnp.vstack([products(columns[:2], columns[2:]), jnp.pad(squares, (d + 1, 0))])

    return float64_inside(run)(features, targets, weights, basis)


@_products.defjvp
def _no_derivative(primals, tangents):
    raise TypeError("moments have no derivative; differentiate spectrum(features, targets) instead")
