"""The whole measure in one call, from activations and labels."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from jaxalign._core.checks import as_dtype, as_real_floats
from jaxalign._core.reprs import are_readable, in_words
from jaxalign._features import Reduce, encode_targets, prepare
from jaxalign._features.labels import are_codes, are_real, as_labels
from jaxalign._spectrum.routes.table import Method
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment._measures import (
    aligned_rank,
    alignment_area,
    alignment_curve,
    usual_thresholds,
)
from jaxalign.alignment._nulls import spectrum_and_null


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("curve", "area", "rank", "null", "spectrum", "thresholds"),
    meta_fields=("centered",),
)
@dataclass(frozen=True, eq=False, repr=False)
class Alignment:
    """How much of each target lies along the top singular directions of one representation.

    A pytree. Its repr is a table in shares of ‖y‖², means over the targets.

    Attributes:
      curve: (t, k) A(τ) at the thresholds, in the units of y².
      area: (k,) ∫A dτ.
      rank: (k,) int32, how many top directions hold 90 % of the target's part in the column space.
      null: the permutation null, a Spectrum: ``null_curve`` and ``null_area`` are read off it.
      spectrum: the label spectrum that all of it is read off.
      thresholds: (t,) τ.
      centered: whether it is about the mean.
    """

    curve: Float[Array, "t k"]
    area: Float[Array, " k"]
    rank: Int[Array, " k"]
    null: Spectrum
    spectrum: Spectrum
    thresholds: Float[Array, " t"]
    centered: bool

    @property
    def null_curve(self) -> Float[Array, "t k"]:
        """(t, k) A(τ) by chance, the mean over all permutations of the targets."""
        return alignment_curve(self.null, self.thresholds)

    @property
    def null_area(self) -> Float[Array, " k"]:
        """(k,) ∫A dτ by chance."""
        return alignment_area(self.null)

    def __repr__(self) -> str:
        if not are_readable(*jax.tree.leaves(self)) or np.ndim(self.curve) != 2:
            return f"Alignment({in_words('curve', self.curve)})"
        total = np.asarray(self.spectrum.total)
        # A target of zeros has no share of anything.
        total = np.where(total > 0, total, np.nan)
        share = np.mean(np.asarray(self.curve) / total, axis=1)
        chance = np.mean(np.asarray(self.null_curve) / total, axis=1)
        area = float(np.mean(np.asarray(self.area) / total))
        null_area = float(np.mean(np.asarray(self.null_area) / total))
        width = self.spectrum.singular_values.shape[-1]
        about = ", about the mean" if self.centered else ""
        return "\n".join(
            [
                f"Alignment of {int(self.spectrum.num_samples)} samples with {len(total)} "
                f"target{'s' if len(total) > 1 else ''}, rank {int(self.spectrum.rank)} of {width}"
                f"{about}; shares of ‖y‖²",
                "  threshold τ " + "".join(f"{tau:>8g}" for tau in np.asarray(self.thresholds)),
                "  A(τ)        " + "".join(f"{value:>8.1%}" for value in share),
                "  by chance   " + "".join(f"{value:>8.1%}" for value in chance),
                f"  area {area:.3g} (by chance {null_area:.3g}); 90 % within "
                f"{np.mean(np.asarray(self.rank)):.3g} directions",
            ]
        )


def measure(
    activations: ArrayLike,
    labels: ArrayLike,
    thresholds: ArrayLike | None = None,
    *,
    method: Method = "auto",
    centered: bool | None = None,
    reduce: Reduce = "mean",
) -> Alignment:
    """The alignment of one layer's activations with labels: curve, area, rank and null in one call.

    The same as ``prepare``, ``encode_targets``, ``spectrum``, ``permutation_null`` and the measures
    one after another.

    Args:
      activations: (n, ...) of one layer on n samples, features (channels) last.
      labels: (n,) class labels, or (n,) or (n, k) real targets.
      thresholds: (t,) τ of the curve; by default ``usual_thresholds(n)``.
      method: as in ``spectrum``.
      centered: about the mean. By default real targets are, and classes are not.
      reduce: what becomes of the positions of a map (n, ..., c), as in ``prepare``: by default
        their mean, as for monitors and inspections.

    Returns:
      Alignment.

    Raises:
      ValueError, TypeError: as ``prepare``, ``encode_targets`` and ``permutation_null``;
        ``centered`` not given for real targets that are traced.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> x = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32)
      >>> labels = (x[:, 0] > 0).astype(int)
      >>> ja.measure(3 * x + 5 * labels[:, None] * np.eye(8)[0], labels, thresholds=[4, 8])
      Alignment of 400 samples with 1 target, rank 9 of 9; shares of ‖y‖²
        threshold τ        4       8
        A(τ)           78...%   77...%
        by chance       2...%    0...%
        area 8.8... (by chance 0.1...); 90 % within 9 directions

    Source: Eq. 1 of Imani, Hu, White (TMLR 2022); area, rank and null are ours.
    """
    features = prepare(activations, reduce=reduce)
    values = as_labels(labels)
    targets = encode_targets(labels)
    if centered is None:
        centered = are_real(values) and not are_codes(values, "labels")
    spectrum, null = spectrum_and_null(features, targets, method=method, centered=centered)
    grid = thresholds if thresholds is not None else np.array(usual_thresholds(len(targets)))
    tau = jnp.atleast_1d(as_dtype(as_real_floats(grid, "thresholds"), spectrum.total.dtype))
    return Alignment(
        curve=alignment_curve(spectrum, tau),
        area=alignment_area(spectrum),
        rank=aligned_rank(spectrum),
        null=null,
        spectrum=spectrum,
        thresholds=tau,
        centered=centered,
    )
