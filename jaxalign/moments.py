"""Moments: the sufficient statistics of a label spectrum, which add up over batches, devices, days and hosts."""

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxalign._checks import as_matrices, as_real_floats, is_concrete, require_finite
from jaxalign._float64 import float64_inside
from jaxalign._gram import products


@partial(jax.tree_util.register_dataclass, data_fields=("products",), meta_fields=("width", "precision"))
@dataclass(frozen=True)
class Moments:
    """Σ_i w_i z_i z_iᵀ over rows z_i = (φ_i, 1, y_i), in float64 whatever the x64 flag says. A monoid under ``+``.

    ``spectrum(m)`` finishes it, ``spectrum(m, centered=True)`` about the mean: the ones hold what that needs. A pytree: it can
    be carried through jit, vmap and scan, and summed over devices by ``jax.lax.psum(m, axis)``.

    Attributes:
      products: (d + 1 + k, d + 1 + k) float64.
      width: d, the number of features.
      precision: dtype of the features, whose rounding sets the rank tolerance.
    """

    products: Array
    width: int
    precision: str

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both sets of rows together.

        Raises:
          ValueError: another number of features or targets, or features of another dtype.
        """
        if not isinstance(other, Moments):
            return NotImplemented
        for what, mine, theirs in (
            ("features", self.width, other.width),
            ("targets", self._targets, other._targets),
            ("precision", self.precision, other.precision),
        ):
            if mine != theirs:
                raise ValueError(f"moments that are added must agree in {what}, found {mine} and {theirs}")
        return Moments(float64_inside(operator.add)(self.products, other.products), self.width, self.precision)

    def sum(self) -> "Moments":
        """A batch of moments (a leading axis, as vmap makes it) merged into one."""
        return Moments(float64_inside(partial(jnp.sum, axis=0))(self.products), self.width, self.precision)

    @property
    def _targets(self) -> int:
        return self.products.shape[-1] - 1 - self.width

    def save(self, file: str | Path) -> None:
        """Write everything to an .npz file; ``Moments.load`` gives it back bit for bit, on any host."""
        with open(file, "wb") as stream:
            np.savez(stream, products=np.asarray(self.products), width=self.width, precision=self.precision)

    @staticmethod
    def load(file: str | Path) -> "Moments":
        """Read what ``save`` wrote.

        Raises:
          ValueError: the file holds something else.
        """
        with np.load(file, allow_pickle=False) as held:
            if set(held.files) != {"products", "width", "precision"}:
                raise ValueError(f"{file} holds no moments: its arrays are {sorted(held.files)}")
            with jax.enable_x64(True):
                return Moments(jnp.asarray(held["products"]), int(held["width"]), str(held["precision"]))


def moments(features: ArrayLike, targets: ArrayLike, *, weights: ArrayLike | None = None) -> Moments:
    """The moments Σ_i w_i z_i z_iᵀ, z = (φ, 1, y), of one batch of rows, accumulated in float64.

    They are not differentiable; ``spectrum(features, targets)`` is.

    Args:
      features: (n, d) rows of Φ.
      targets: (n, k) rows of Y; (n,) floats count as one column.
      weights: (n,) w_i ≥ 0, by default 1: the spectrum becomes that of diag(√w)Φ and diag(√w)Y. A row of weight 0 does
        not count and may hold anything, so booleans mask rows (padding, a class, a fold).

    Returns:
      Moments; ``a + b`` merges them in any order, ``spectrum(m)`` finishes.

    Raises:
      ValueError: as ``spectrum``; weights not of shape (n,), negative or not finite (eager calls).
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
    if weights is not None:
        weights = _as_weights(weights, jnp.shape(features)[:1])
        features, targets = (_without(weights == 0, x) for x in (features, targets))
    features, targets = as_matrices(features, targets)
    return Moments(_products(features, targets, weights), features.shape[1], features.dtype.name)


def accumulate(batches: Iterable[tuple[ArrayLike, ArrayLike]]) -> Moments:
    """The moments of a stream of (features, targets) batches, in the memory of one batch and one Moments.

    Raises:
      ValueError: the stream yields nothing; batches that do not agree (see ``Moments.__add__``).

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> batches = ((np.eye(4, dtype=np.float32)[i : i + 2], np.ones((2, 1))) for i in (0, 2))
      >>> ja.spectrum(ja.accumulate(batches)).singular_values.tolist()
      [1.0, 1.0, 1.0, 1.0]

    Source: ours.
    """
    each = (moments(features, targets) for features, targets in batches)
    first = next(each, None)
    if first is None:
        raise ValueError("batches must yield at least one (features, targets), found none; is the iterator used up?")
    return reduce(operator.add, each, first)


def _as_weights(weights: ArrayLike, shape: tuple[int, ...]) -> Array:
    w = as_real_floats(weights, "weights")
    if w.shape != shape:
        raise ValueError(f"weights must have shape (n,) = {shape}, one a row of features, found {w.shape}")
    require_finite(w, "weights")
    if is_concrete(w) and bool((w < 0).any()):
        raise ValueError(f"weights must not be negative, found {float(w.min())}")
    return w


def _without(masked: Array, rows: ArrayLike) -> Array:
    """``rows`` with 0 for whatever the masked ones hold, NaN included."""
    rows = jnp.asarray(rows)
    return jnp.where(masked.reshape(-1, *(1,) * (rows.ndim - 1)), jnp.zeros((), rows.dtype), rows)


@jax.custom_jvp
@jax.jit
def _products(features: Array, targets: Array, weights: Array | None) -> Array:
    def solve(features, targets, *weights):
        columns = [features, jnp.ones((len(features), 1), features.dtype), targets]
        if weights:
            root = jnp.sqrt(weights[0].astype(jnp.float64))[:, None]
            columns = [x.astype(jnp.float64) * root for x in columns]
        return products(*columns)

    return float64_inside(solve)(features, targets, *(() if weights is None else (weights,)))


@_products.defjvp
def _no_derivative(primals, tangents):
    raise TypeError("moments have no derivative; differentiate spectrum(features, targets) instead")
