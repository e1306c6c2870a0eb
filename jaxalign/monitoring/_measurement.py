"""From the activations of a model to what is logged: every measure of every layer.

What has to be taken while the activations are there is a layer's sample; what can wait is finished
later, for all steps of a chunk at once.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxalign._core.alike import of_alike
from jaxalign._core.mesh import Split
from jaxalign._features import OUTPUTS, pool
from jaxalign._spectrum.carried import restored
from jaxalign._spectrum.moments import Moments
from jaxalign._spectrum.spectrum import spectrum
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment import spectrum_and_null
from jaxalign.monitoring._layer import Layer, solve_together
from jaxalign.monitoring._logged import logged
from jaxalign.monitoring._measures import Measure, TargetsAs
from jaxalign.monitoring._settings import Method, Pooling

Logged = OrderedDict[str, Array]
"""{measure: value} of one layer."""

References = Mapping[str, Array]
"""{layer: pooled features at step 0}, for pairs with the start."""


class Sample(NamedTuple):
    """What is taken of one layer in the step.

    Attributes:
      now: the measures that are complete.
      later: what the others are computed from: moments as loops carry them, or (Φ, Y) where those
        are smaller.
    """

    now: Logged
    later: Moments | tuple[Array, Array] | None


@dataclass(frozen=True)
class Measurement:
    """What to log of every layer, and how to compute it. Static: it holds no traced arrays.

    Attributes:
      measures: (name, measure), in the order of the log.
      method: how a spectrum is computed.
      defer: keep moments in the step, and solve them later.
      targets_as: of measures of each target, log the "mean" or "each".
      centered: about the mean.
      order: steps of the quadrature.
      reduce: what becomes of the positions of a map.
      split: over which axes of a mesh the rows are split; None where they are not.
    """

    measures: tuple[tuple[str, Measure], ...]
    method: Method
    defer: bool
    targets_as: TargetsAs
    centered: bool
    order: int
    reduce: Pooling | Literal["flatten"]
    split: Split | None = None

    @property
    def waiting(self) -> tuple[tuple[str, Measure], ...]:
        """The measures that wait for the end of a chunk."""
        if not self.defer:
            return ()
        kinds = ("spectrum", "null", "moments")
        return tuple((name, m) for name, m in self.measures if m.source in kinds)

    def take(
        self,
        activations: Mapping[str, Array],
        targets: Array,
        outputs: Any = None,
        references: References | None = None,
        inputs: Array | None = None,
    ) -> OrderedDict[str, Sample]:
        """The samples of all layers, while their activations are there.

        Args:
          activations: {layer: (n, ...)}, in the order in which they run.
          targets: (n, k).
          outputs: of the model; None where no measure of them is logged.
          references: of pairs with the start.
          inputs: of the model, which come before the first layer.
        """
        waiting = {name for name, _ in self.waiting}
        samples: OrderedDict[str, Sample] = OrderedDict()
        previous = None
        if inputs is not None and jnp.issubdtype(inputs.dtype, jnp.floating) and inputs.ndim > 1:
            previous = inputs.reshape(len(inputs), -1)
        layers = []
        for name, values in activations.items():
            start = None if references is None else references.get(name)
            layers.append(Layer(self, name, values, targets, previous, start))
            previous = layers[-1].features if self._needs_previous else None
        solve_together(layers, {m.source for name, m in self.measures if name not in waiting})
        for layer in layers:
            now: Logged = OrderedDict()
            for measure_name, measure in self.measures:
                if measure_name not in waiting and layer.has(measure):
                    now[measure_name] = layer.value(measure_name, measure)
            samples[layer.name] = Sample(now, layer.kept() if waiting else None)
        if OUTPUTS in samples and self.asks_for("outputs"):
            raise ValueError(
                f"the model has a layer named {OUTPUTS!r}, under which measures of its outputs are "
                "logged; tap other layers, or leave out monitoring.of_outputs"
            )
        of_outputs = [(name, m) for name, m in self.measures if m.source == "outputs"]
        if of_outputs and outputs is not None:
            layer = Layer(self, OUTPUTS, outputs, targets, None, None)
            now = OrderedDict((name, layer.value(name, m)) for name, m in of_outputs)
            samples[OUTPUTS] = Sample(now, None)
        return samples

    def require_references(self, layers: Sequence[str]) -> None:
        """Raise where a pair's fixed reference is of a layer that is not among these."""
        for name, measure in self.measures:
            if not isinstance(measure.reference, Mapping):
                continue
            missing = [layer for layer in measure.reference if layer not in layers]
            if missing:
                raise ValueError(
                    f"the reference of {name!r} has layers that are not measured: "
                    f"{', '.join(map(str, missing))}; layers are {', '.join(layers)}"
                )

    def require_logged(self, samples: Mapping[str, Sample]) -> None:
        """Raise for a measure of a pair with the layer before that no layer has."""
        for name, measure in self.measures:
            if not measure.is_with_previous or any(name in s.now for s in samples.values()):
                continue
            raise ValueError(
                f"measure {name!r} compares a layer with the one before, which "
                f"{', '.join(samples)} does not have: nothing of floating point is measured before "
                "it; tap two layers or more, or log it by a monitor whose inputs are of floating "
                "point"
            )

    def finish(self, samples: Mapping[str, Sample]) -> OrderedDict[str, Logged]:
        """{layer: {measure: value}} of samples."""
        samples = {name: _restored(sample) for name, sample in samples.items()}
        waiting = [name for name, sample in samples.items() if sample.later is not None]
        solved = of_alike(self._solved, [samples[name].later for name in waiting])
        arguments = dict(zip(waiting, solved, strict=True))
        return OrderedDict(
            (name, self._finished(name, sample, arguments.get(name)))
            for name, sample in samples.items()
        )

    def _finished(
        self, layer: str, sample: Sample, solved: tuple[Spectrum, Spectrum | None] | None
    ) -> Logged:
        if solved is None:
            return sample.now
        arguments = {"spectrum": solved[0], "null": solved[1], "moments": sample.later}
        finished = dict(sample.now)
        for name, measure in self.waiting:
            argument = arguments[measure.source]
            finished[name] = logged(name, layer, measure, (argument,), self.targets_as)
        return OrderedDict((name, finished[name]) for name, _ in self.measures if name in finished)

    def _solved(self, later: Moments | tuple[Array, Array]) -> tuple[Spectrum, Spectrum | None]:
        """The spectrum, and its null where a measure asks for it."""
        parts = (later,) if isinstance(later, Moments) else later
        if self.asks_for("null"):
            return spectrum_and_null(*parts, centered=self.centered)
        return spectrum(*parts, centered=self.centered), None

    def asks_for(self, source: str) -> bool:
        """Whether a measure is given this."""
        return any(measure.source == source for _, measure in self.measures)

    @property
    def _needs_previous(self) -> bool:
        return any(measure.is_with_previous for _, measure in self.measures)

    @property
    def needs_start(self) -> bool:
        """Whether a pair is one with the same layer at step 0."""
        return any(measure.is_with_start for _, measure in self.measures)

    def pooled(self, activations: Mapping[str, Array]) -> dict[str, Array]:
        """{layer: (n, d)}: what a pair with the start needs of step 0."""
        return {
            name: jnp.asarray(pool(values, reduce=self.reduce))
            for name, values in activations.items()
        }


def _restored(sample: Sample) -> Sample:
    """The same with its moments out of the form in which loops carry them."""
    if not isinstance(sample.later, Moments):
        return sample
    return sample._replace(later=restored(sample.later))
