"""PairMoments: what two representations of the same rows have in common, in sums that add up over
batches, devices and hosts.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from jaxalign._core import npz
from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import as_real_floats, require_finite
from jaxalign._core.float64 import exactly, float64_array, float64_inside
from jaxalign._core.kinds import require_kind
from jaxalign._core.known import known_values
from jaxalign._spectrum.room import ONE_SUM, require_room_for
from jaxalign.similarity._augmented import ONE, row_products
from jaxalign.similarity._pair import Numbers, as_pair
from jaxalign.similarity._pivots import (
    added,
    has_one_pivot,
    over,
    pivot_of,
    powers_of_mean,
    powers_of_pivot,
    summed,
)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("products", "powers"),
    meta_fields=("widths", "precision"),
)
@dataclass(frozen=True)
class PairMoments:
    """Σ zzᵀ over rows z = (x − p, y − q, 1, ‖x − p‖², ‖y − q‖²), in float64 whatever the x64 flag
    says. The pivot (p, q) lies near the mean, which keeps the digits of data far from 0.

    ``a + b`` merges two sets of rows, ``linear_cka(m)`` and its like read them. A pytree: it can be
    carried through jit, vmap and scan. Over devices it is merged by ``m.over(axis)``, which agrees
    on a pivot first. A bare ``psum`` is right where all devices have one pivot, and refused by what
    reads it where they have several.

    Attributes:
      products: (p + q + 3, p + q + 3) float64.
      powers: (3, p + q) float64, the powers 0, 1 and 2 of the pivot.
      widths: (p, q), the numbers of columns of x and y.
      precision: dtype of the results.
    """

    products: Float[Array, "*batch w w"]
    powers: Float[Array, "*batch 3 p+q"]
    widths: tuple[int, int]
    precision: str

    def __add__(self, other: "PairMoments") -> "PairMoments":
        """The moments of both sets of rows together, about the mean of their pivots.

        Raises:
          ValueError: they differ in the number of columns or in precision.
        """
        if not isinstance(other, PairMoments):
            return NotImplemented
        self._require_like(other)
        return self._with(*added(self.widths[0], self.leaves, other.leaves))

    def __radd__(self, other: object) -> "PairMoments":
        """0 + m, with which ``sum([a, b])`` begins."""
        if isinstance(other, int) and other == 0:
            return self
        return NotImplemented

    def sum(self) -> "PairMoments":
        """A batch of pair moments (a leading axis, as vmap makes it) merged into one."""
        return self._with(*summed(self.widths[0], *self.leaves))

    def over(self, axis: str) -> "PairMoments":
        """Inside shard_map or pmap: merged over the devices of a mesh axis."""
        return self._with(*over(axis, self.widths[0], *self.leaves))

    @property
    def num_samples(self) -> Int[Array, "*batch"]:
        """() int32 n, the number of rows."""

        def read(products: Array) -> Array:
            return jnp.round(products[..., ONE, ONE]).astype(jnp.int32)

        return float64_inside(read)(self.products)

    @property
    def pivot(self) -> Float[Array, "*batch p+q"]:
        """(p + q,) float64 (p, q)."""
        return float64_inside(pivot_of)(self.powers)

    def save(self, file: str | Path) -> None:
        """Write everything to an .npz file; ``PairMoments.load`` gives it back bit for bit."""
        npz.save(file, self)

    @staticmethod
    def load(file: str | Path) -> "PairMoments":
        """Read what ``save`` wrote.

        Raises:
          ValueError: the file holds something else.
        """
        arrays = npz.load(file, PairMoments, "pair moments")
        p, q = arrays["widths"].tolist()
        products, powers = (float64_array(arrays[name]) for name in ("products", "powers"))
        return PairMoments(products, powers, (p, q), arrays["precision"].item())

    @property
    def leaves(self) -> tuple[Array, Array]:
        """The arrays: products and powers."""
        return self.products, self.powers

    def _with(self, products: Array, powers: Array) -> "PairMoments":
        return replace(self, products=products, powers=powers)

    def _require_like(self, other: "PairMoments") -> None:
        facts = {
            "columns of x": (self.widths[0], other.widths[0]),
            "columns of y": (self.widths[1], other.widths[1]),
            "precision": (self.precision, other.precision),
        }
        for name, (own, others) in facts.items():
            if own != others:
                raise ValueError(
                    f"pair moments that are added must agree in {name}, found {own} and {others}"
                )


def pair_moments(x: ArrayLike, y: ArrayLike, *, pivot: ArrayLike | None = None) -> PairMoments:
    """The sums Σ zzᵀ of z = (x − p, y − q, 1, ‖x − p‖², ‖y − q‖²) over a batch of rows, in float64.

    From them linear CKA (biased, debiased, Lange), HSIC, correlations of squared distances,
    Procrustes distances and canonical correlations of any number of rows are exact, in the memory
    of (p + q + 3)² numbers. They are not differentiable; ``linear_cka(x, y)`` is.

    Args:
      x: (n, p) of one representation.
      y: (n, q) of the other one, of the same rows.
      pivot: (p + q,) what is subtracted from the rows, rounded to 16 binary digits; by default the
        mean of the batch. It changes no result but by rounding.

    Returns:
      PairMoments; ``a + b`` merges them in any order. Measures refuse those whose pivot is more
      than 180 times as far from the mean as the rows are (eager calls).

    Raises:
      ValueError: x or y no matrix, empty, not finite (eager calls), of different n, or with fourth
        powers beyond float64, or sums that memory has no room for (eager calls); a pivot not of
        shape (p + q,).
      TypeError: x, y or the pivot no numbers; when differentiated.

    Example:
      >>> import numpy as np
      >>> from jaxalign import similarity
      >>> x = np.eye(6, 2, dtype=np.float32)
      >>> m = similarity.pair_moments(x[:3], 2 * x[:3]) + similarity.pair_moments(x[3:], 2 * x[3:])
      >>> similarity.linear_cka(m).round(3).item()
      1.0

    Source: ours, on the unbiased HSIC of Song et al. (JMLR 2012), Eq. 5.
    """
    x = as_numbers(x, "x")
    y = as_numbers(y, "y")
    center = None if pivot is None else as_numbers(pivot, "pivot")
    return exactly(_of_arrays, x, y, center)


def moments_about_mean(x: Numbers, y: Numbers) -> PairMoments:
    """``pair_moments`` about all digits of the mean: sums that are read and not merged."""
    return exactly(partial(_of_arrays, is_rounded=False), x, y, None)


def _of_arrays(
    x_rows: Numbers, y_rows: Numbers, pivot: Numbers | None, is_rounded: bool = True
) -> PairMoments:
    x, y = as_pair(x_rows, y_rows)
    widths = (x.shape[1], y.shape[1])
    require_room_for(
        8 * (sum(widths) + 3) ** 2,
        ONE_SUM,
        x,
        f"x and y of p + q = {sum(widths):,} columns",
    )
    if pivot is None:
        powers = powers_of_mean(x, y, is_rounded)
    else:
        pivot = as_real_floats(pivot, "pivot")
        if pivot.shape != (sum(widths),):
            raise ValueError(
                f"pivot must have shape (p + q,) = ({sum(widths)},), found {pivot.shape}"
            )
        require_finite(pivot, "pivot")
        powers = powers_of_pivot(pivot)
    center = float64_inside(pivot_of)(powers)
    products = float64_array(row_products(x, y, center))
    return PairMoments(products, powers, widths, x.dtype.name)


def require_one_pivot(moments: PairMoments) -> None:
    """Raise for a batch, and for a bare ``psum`` of moments about several pivots (eager calls)."""
    require_kind(moments, PairMoments, "x", "pass pair_moments(x, y)")
    if moments.products.ndim != 2:
        raise ValueError(
            "pair moments must be one set of sums, found a batch of shape "
            f"{moments.products.shape[:-2]}; merge it by .sum(), or use vmap"
        )
    powers = known_values(moments.powers)
    if powers is not None and not has_one_pivot(powers):
        raise ValueError(
            "pair moments were summed over different pivots, which lost them; "
            "inside shard_map merge them by m.over(axis) instead of psum"
        )
