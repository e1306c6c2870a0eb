"""What is kept of one layer at one step, and the three ways to take it."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jax.typing import ArrayLike

from jaxalign._core.checks import require_finite
from jaxalign._features import prepare
from jaxalign._spectrum.moments import Moments, moments
from jaxalign._spectrum.quadrature import quadrature
from jaxalign._spectrum.sharded import sharded
from jaxalign._spectrum.spectrum import Spectrum, spectrum
from jaxalign.alignment import alignment_area, alignment_curve, random_label_curve

Measure = Literal["exact", "quadrature", "deferred"]
MEASURES: tuple[Measure, ...] = get_args(Measure)

Pooling = Literal["flatten", "mean", "cls"]
"""The reductions of ``prepare`` that leave one row a sample."""


class Record(NamedTuple):
    """The alignment of one layer, each value the mean over target columns. In a history all have a
    leading step axis.

    Attributes:
      area: () ∫A dτ.
      alignment: (m,) A(τ) at the thresholds.
      curve: (g,) A(τ) on the grid.
      null: (g,) E[A(τ)] for random targets of the same norm, on the grid; NaN from a quadrature,
        which counts no σ.
    """

    area: Array | np.ndarray
    alignment: Array | np.ndarray
    curve: Array | np.ndarray
    null: Array | np.ndarray


Sample: TypeAlias = Record | Moments | tuple[Array, Array]
"""What is taken of a layer in the step: the record itself, or, deferred, the smaller of its moments
and (Φ, Y).
"""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Reading:
    """What is read off a spectrum, and how the spectrum is come by.

    Attributes:
      thresholds: (m,) τ of ``Record.alignment``.
      grid: (g,) τ of ``Record.curve``.
      measure: "exact", "quadrature" or "deferred".
      order: of the quadrature.
      reduce: what becomes of the positions of a map: "flatten", "mean" or "cls".
      mesh: of one axis, over which the rows lie; None where they do not.
    """

    thresholds: Array
    grid: Array
    measure: Measure = field(metadata={"static": True})
    order: int = field(metadata={"static": True})
    reduce: Pooling = field(metadata={"static": True})
    mesh: Mesh | None = field(default=None, metadata={"static": True})

    def sample(self, activations: Mapping[str, Array], targets: Array) -> OrderedDict[str, Sample]:
        """What has to be taken while the activations are there: the records, or, deferred, what
        they come from.
        """
        return OrderedDict(
            (name, self._sample(prepare(a, reduce=self.reduce), targets))
            for name, a in activations.items()
        )

    def finish(self, samples: Mapping[str, Sample], n: int) -> OrderedDict[str, Record]:
        """The records that samples of n rows come to."""
        return OrderedDict((name, self._finish(sample, n)) for name, sample in samples.items())

    def _finish(self, sample: Sample, n: int) -> Record:
        if isinstance(sample, Record):
            return sample
        found = spectrum(sample) if isinstance(sample, Moments) else spectrum(*sample)
        return record_of(found, n, self.thresholds, self.grid)

    def _sample(self, features: Array, targets: Array) -> Sample:
        if self.measure == "deferred":
            n, d = features.shape
            return (
                (features, targets)
                if n < d and self.mesh is None
                else self._moments(features, targets)
            )
        if self.measure == "exact":
            solve = (
                spectrum if self.mesh is None else sharded(self.mesh, rows=self.mesh.axis_names[0])
            )
            return record_of(solve(features, targets), len(targets), self.thresholds, self.grid)
        order = min(self.order, *features.shape)
        precision: Literal["float64", "float32"] = (
            "float64" if features.dtype == jnp.float64 else "float32"
        )
        found = quadrature(features, targets, order=order, dtype=precision).spectrum
        record = record_of(found, len(targets), self.thresholds, self.grid)
        return record._replace(null=jnp.full_like(record.null, jnp.nan))

    def _moments(self, features: Array, targets: Array) -> Moments:
        if self.mesh is None:
            return moments(features, targets)
        axis = self.mesh.axis_names[0]

        def of_rows(phi, y):
            return jax.lax.psum(moments(phi, y), axis)

        return jax.shard_map(
            of_rows, mesh=self.mesh, in_specs=P(axis), out_specs=P(), check_vma=False
        )(features, targets)


@partial(jax.jit, static_argnums=(1,))
def record_of(found: Spectrum, n: int, thresholds: Array, grid: Array) -> Record:
    """The Record of one layer's spectrum, of n samples."""
    return Record(
        area=alignment_area(found).mean(),
        alignment=alignment_curve(found, thresholds).mean(axis=1),
        curve=alignment_curve(found, grid).mean(axis=1),
        null=random_label_curve(found, grid, n).mean(axis=1),
    )


def reading(
    thresholds: Sequence[float] | ArrayLike,
    grid: ArrayLike | None,
    measure: Measure,
    order: int,
    reduce: Pooling,
    n: int,
) -> Reading:
    """A Reading of n samples from what a user asks for, checked; the grid is by default 64 values
    evenly spaced on [0, √n].
    """
    if measure not in MEASURES:
        raise ValueError(f"measure must be {', '.join(map(repr, MEASURES))}, found {measure!r}")
    if order < 1:
        raise ValueError(f"order must be at least 1, found {order}")
    if reduce not in get_args(Pooling):
        other = (
            "; 'samples' makes several rows of a sample, which have no targets"
            if reduce == "samples"
            else ""
        )
        raise ValueError(
            f"reduce must be {', '.join(map(repr, get_args(Pooling)))}, found {reduce!r}{other}"
        )
    tau, values = (
        _thresholds(thresholds, "thresholds"),
        np.linspace(0, n**0.5, 64) if grid is None else grid,
    )
    return Reading(tau, _thresholds(values, "grid"), measure, order, reduce)


def _thresholds(values: Sequence[float] | ArrayLike, name: str) -> Array:
    tau = jnp.asarray(values, jnp.float32)
    if tau.ndim != 1 or tau.size == 0:
        raise ValueError(f"{name} must be a non-empty list of numbers, found shape {tau.shape}")
    require_finite(tau, name)
    return tau
