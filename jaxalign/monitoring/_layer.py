"""One layer at one step: what measures are given of it, each computed once and if asked for."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import PartitionSpec as P

from jaxalign._core.alike import of_alike
from jaxalign._core.float64 import exactly
from jaxalign._core.known import is_concrete
from jaxalign._features import pool, unit_rows
from jaxalign._spectrum.carried import carried
from jaxalign._spectrum.moments import Moments, moments
from jaxalign._spectrum.quadrature import Quadrature, quadrature
from jaxalign._spectrum.sharded import sharded
from jaxalign._spectrum.spectrum import spectrum
from jaxalign._spectrum.types import Spectrum
from jaxalign._spectrum.unit_rows import quadrature_of_unit_rows
from jaxalign.alignment._nulls import with_null
from jaxalign.monitoring._logged import logged
from jaxalign.monitoring._measures import Measure

if TYPE_CHECKING:
    from jaxalign.monitoring._measurement import Measurement


class Layer:
    """A layer's activations and what is derived from them."""

    def __init__(
        self,
        measurement: Measurement,
        name: str,
        activations: Any,
        targets: Array,
        previous: Array | None,
        start: Array | None,
    ):
        self.measurement = measurement
        self.name = name
        self.activations = activations
        self.targets = targets
        self.previous = previous
        self.start = start

    @cached_property
    def features(self) -> Array:
        """(n, d), pooled; without bias column and unit rows."""
        return jnp.asarray(pool(self.activations, reduce=self.measurement.reduce))

    @cached_property
    def phi(self) -> Array:
        """Φ (n, d + 1), as ``prepare`` makes it."""
        return jnp.asarray(unit_rows(self.features))

    @cached_property
    def solved(self) -> tuple[Spectrum, Spectrum | None]:
        """The spectrum, and its permutation null where a measure asks for it."""
        return solved(self.measurement, self.targets, self.phi)

    @cached_property
    def quadrature(self) -> Quadrature:
        """With the nodes of every target."""
        return quadrature_of(self.measurement, self.targets, self.features)

    @cached_property
    def moments(self) -> Moments:
        """Of Φ and the targets."""
        split = self.measurement.split
        if split is None:
            return moments(self.phi, self.targets)

        def of_rows(phi: Array, targets: Array) -> Moments:
            return jax.lax.psum(moments(phi, targets), split.axes)

        whole = jax.shard_map(
            of_rows, mesh=split.mesh, in_specs=P(split.axes), out_specs=P(), check_vma=False
        )
        return whole(self.phi, self.targets)

    def kept(self) -> Moments | tuple[Array, Array]:
        """What spectra are computed from later: of a layer wider than n its rows, else moments as
        loops carry them.
        """
        n, d = self.phi.shape
        if n < d and self.measurement.split is None and not self.measurement.asks_for("moments"):
            return self.phi, self.targets
        return carried(self.moments)

    def has(self, measure: Measure) -> bool:
        """Whether the measure is one of this layer: not of the outputs, nor of a missing pair."""
        if measure.source == "outputs":
            return False
        return measure.source != "pair" or self._reference(measure) is not None

    def value(self, name: str, measure: Measure) -> Array:
        """The measure as it is logged."""
        arguments: tuple[Any, ...]
        match measure.source:
            case "spectrum":
                arguments = (self._spectrum(),)
            case "null":
                arguments = (self.solved[1],)
            case "quadrature":
                arguments = (self.quadrature,)
            case "moments":
                arguments = (self.moments,)
            case "features":
                arguments = (self.features,)
            case "pair":
                arguments = (self.features, self._reference(measure))
            case _:
                arguments = (self.activations,)
        if measure.with_targets:
            arguments = (*arguments, self.targets)
        return logged(name, self.name, measure, arguments, self.measurement.targets_as)

    def _spectrum(self) -> Spectrum:
        if self.measurement.method == "quadrature":
            return self.quadrature.spectrum
        return self.solved[0]

    def _reference(self, measure: Measure) -> Array | None:
        """The second representation of a pair; None where there is none."""
        reference = measure.reference
        if isinstance(reference, Mapping):
            return None if self.name not in reference else jnp.asarray(reference[self.name])
        if not isinstance(reference, str):
            return jnp.asarray(reference)
        return self.start if reference == "start" else self.previous


def solve_together(layers: Sequence[Layer], sources: Container[str]) -> None:
    """Solve those layers of which something from one of these sources is logged, as a batch where
    their shapes are equal.
    """
    if not layers or layers[0].measurement.split is not None:
        return  # rows over devices are summed layer by layer
    measurement = layers[0].measurement
    targets = layers[0].targets
    if measurement.method == "quadrature":
        if "spectrum" in sources or "quadrature" in sources:
            of_one = partial(quadrature_of, measurement, targets)
            features = [layer.features for layer in layers]
            for layer, result in zip(layers, of_alike(of_one, features), strict=True):
                layer.quadrature = result
    elif "spectrum" in sources or "null" in sources:
        solve_one = partial(solved, measurement, targets)
        phis = [layer.phi for layer in layers]
        for layer, result in zip(layers, of_alike(solve_one, phis), strict=True):
            layer.solved = result


def solved(
    measurement: Measurement, targets: Array, phi: Array
) -> tuple[Spectrum, Spectrum | None]:
    """The spectrum of one layer, and its permutation null where a measure asks for it."""
    settings: Any = {"method": measurement.method, "centered": measurement.centered}
    solve: Any = partial(spectrum, **settings)
    split = measurement.split
    if split is not None:
        solve = sharded(split.mesh, rows=split.axes, **settings)
    if measurement.asks_for("null"):
        return with_null(solve, phi, targets, measurement.centered)
    return solve(phi, targets), None


def quadrature_of(measurement: Measurement, targets: Array, features: Array) -> Quadrature:
    """The quadrature of one layer."""
    n, d = features.shape
    order = min(measurement.order, n, d + 1)
    is_float64 = jnp.float64 in (features.dtype, targets.dtype)
    if not (measurement.centered or is_float64 or is_concrete(features)):
        rows = features.astype(jnp.float32)
        return exactly(partial(quadrature_of_unit_rows, order=order), rows, targets)
    phi = jnp.asarray(unit_rows(features))
    if measurement.centered:
        phi = phi - phi.mean(axis=0, keepdims=True)
        targets = targets - targets.mean(axis=0, keepdims=True)
    precision: Literal["float64", "float32"] = "float32"
    if phi.dtype == jnp.float64:
        precision = "float64"
    return quadrature(phi, targets, order=order, dtype=precision)
