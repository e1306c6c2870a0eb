"""Measuring a model on a fixed set of samples, as one pure function of its state."""

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.typing import ArrayLike

from jaxalign._core.checks import as_program_array, as_target_matrix, require_finite
from jaxalign._core.kinds import as_count, require_flag
from jaxalign._core.mesh import Axes, for_a_model, put, require_values, split_over
from jaxalign._features import INPUT
from jaxalign._features.labels import are_codes
from jaxalign.capture import Tap
from jaxalign.capture._tap import require_tap
from jaxalign.monitoring._alignment_measures import alignment_measures
from jaxalign.monitoring._measurement import Logged, Measurement, References, Sample
from jaxalign.monitoring._measures import TargetsAs
from jaxalign.monitoring._settings import (
    Measures,
    Method,
    Pooling,
    checked_measures,
    require_settings,
)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)  # hashed by identity, so that it can be jitted itself
class Monitor:
    """What is measured on a fixed set: ``monitor(state) -> {layer: {measure: value}}``. A pytree.

    Pure and jittable. The same in two parts, for loops that solve many steps at once later:
    ``monitor.finish(monitor.sample(state))``.

    Attributes:
      tap: which layers of which model.
      inputs: (n, ...) of the model.
      targets: (n, k) Y.
      constant: what no state changes: the measures of the inputs themselves.
      references: {layer: features at step 0}, for pairs with the start; empty without them.
      measurement: what to log, and how.
    """

    tap: Tap = field(metadata={"static": True})
    inputs: Array
    targets: Array
    constant: OrderedDict[str, Logged]
    references: References
    measurement: Measurement = field(metadata={"static": True})

    @property
    def num_samples(self) -> int:
        """How many samples are measured."""
        return len(self.targets)

    @property
    def batch_tap(self) -> None:
        """The layers that it needs of the training batch: none."""
        return None

    @property
    def total(self) -> float:
        """‖y‖², the mean over target columns; about the mean, if the measure is."""
        targets = np.asarray(self.targets, np.float64)
        if self.measurement.centered:
            targets = targets - targets.mean(axis=0)
        return float(np.mean(np.sum(targets**2, axis=0)))

    @property
    def coordinates(self) -> dict[str, dict[str, np.ndarray]]:
        """{measure: {axis: its values}}."""
        return coordinates_of(self.measurement)

    def over(self, mesh: Mesh, axis: Axes | None = None) -> "Monitor":
        """The same with its rows split over an axis of a mesh, or over several; a mesh of a single
        axis needs no name. Each device runs its rows, and one sum per layer is exchanged.

        Raises:
          ValueError: an axis that the mesh does not have, or whose number of devices does not
            divide the rows; a method that has no sums over rows.
        """
        split = split_over(mesh, axis)
        n = len(self.inputs)
        if n % split.devices:
            raise ValueError(
                f"the monitor's {n} rows must be a multiple of the mesh's {split.devices} devices; "
                f"take {n - n % split.devices or split.devices} of them, or fewer devices"
            )
        if self.measurement.method == "svd":
            raise ValueError(
                "method 'svd' does not take rows that are split over devices; "
                "pass method='moments', 'refined', 'triangular' or 'split'"
            )
        everywhere = NamedSharding(split.mesh, P())
        inputs, targets, references = put(
            (self.inputs, self.targets, self.references), split.sharding
        )
        return replace(
            self,
            inputs=inputs,
            targets=targets,
            references=references,
            constant=put(self.constant, everywhere),
            measurement=replace(self.measurement, split=split),
        )

    def starting_from(self, state: Any) -> "Monitor":
        """The same with the features of this state as those of step 0, for pairs with the start."""
        if not self.measurement.needs_start:
            return self
        _, activations = self.tap(for_a_model(state), self.inputs)
        return replace(self, references=self.measurement.pooled(activations))

    def with_references(self, references: References) -> "Monitor":
        """The same with these features as those of step 0."""
        return replace(self, references=references)

    def __call__(self, state: Any) -> OrderedDict[str, Logged]:
        return self.finish(self.sample(state))

    def sample(self, state: Any) -> OrderedDict[str, Sample]:
        """What has to be taken while the activations are there."""
        outputs, activations = self.tap(for_a_model(state), self.inputs)
        self.measurement.require_references([INPUT, *activations])
        if self.measurement.needs_start and not self.references:
            raise ValueError(
                "a measure of a pair with the start needs the state of step 0; "
                "pass monitor.starting_from(state)"
            )
        samples = self.measurement.take(
            activations, self.targets, outputs, self.references, self.inputs
        )
        self.measurement.require_logged(samples)
        return samples

    def sample_of_batch(
        self, activations: OrderedDict[str, Array], outputs: Array, labels: Array
    ) -> OrderedDict[str, Sample]:
        """What it takes of a training batch: nothing."""
        return OrderedDict()

    def finish(self, samples: OrderedDict[str, Sample]) -> OrderedDict[str, Logged]:
        """What samples come to; ``jax.vmap(monitor.finish)`` solves those of many steps at once."""
        finished = self.measurement.finish(samples)
        return OrderedDict([*self.constant.items(), *finished.items()])


def coordinates_of(measurement: Measurement) -> dict[str, dict[str, np.ndarray]]:
    """{measure: {axis: its values}}, of those that name axes."""
    return {
        name: dict(measure.coordinates)
        for name, measure in measurement.measures
        if measure.coordinates
    }


def monitor(
    tap: Tap,
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    measures: Measures | None = None,
    method: Method = "auto",
    defer: bool = False,
    targets_as: TargetsAs = "mean",
    centered: bool | None = None,
    order: int = 16,
    reduce: Pooling = "mean",
) -> Monitor:
    """Fix what is measured at each step: the tapped layers on n samples, beside the inputs.

    Args:
      tap: the layers, from ``tap(model, ...)``.
      inputs: (n, ...) inputs of the model. Floating-point inputs are measured too, once, flattened,
        as the layer "input".
      targets: (n, k) from ``encode_targets``; (n,) floats count as one column.
      measures: {name: function}; by default ``alignment_measures(n)``. A function gets the layer's
        Spectrum, unless a wrapper of ``jaxalign.monitoring`` (``of_features``, ...) says otherwise.
        ``alignment_area`` and ``aligned_rank``, which give one value a target, are logged as their
        mean over the targets; a user's function is logged as it returns.
      method: how a spectrum is computed, as in ``spectrum``; or "quadrature": ``order`` products
        with each layer, several times cheaper, which gives curve and area only.
      defer: take only moments in the step (of a layer wider than n its rows), and solve those of a
        chunk as one batch, which an accelerator does faster than one by one. ``fit`` keeps at most
        1 GiB of them, and solves a chunk of more in equal parts.
      targets_as: of measures of each target, log the "mean" or "each" (k,).
      centered: about the mean. By default real-valued targets are, and codes ±1 are not: without
        centring, the mean of a regression target makes every layer look aligned.
      order: steps of the quadrature, or the width of a layer where that is smaller.
      reduce: what becomes of the positions of a map (n, ..., c): "mean" averages them to d = c, as
        the head of a network does, so that sums stay small; "flatten" makes each position a
        feature, 65,536 of the first maps of a ResNet; "cls" keeps the first position.

    Returns:
      Monitor, a callable pytree.

    Raises:
      ValueError: inputs and targets of different n; values not finite; an unknown method, pooling
        or ``targets_as``; ``defer`` with a method that keeps no moments; a measure that the method
        does not give; an order below 1.
      TypeError: another kind of argument: the model where its tap is meant, a measure that is not a
        function.

    Example:
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.data import fashion_mnist
      >>> from jaxalign.models import MLP
      >>> images = fashion_mnist(classes=(2, 4)).train.first(100)
      >>> model = MLP(784, (32, 32), 1, rngs=nnx.Rngs(0))
      >>> layers = ja.tap(model, "hidden_*")
      >>> monitor = ja.monitor(layers, images.inputs, ja.encode_targets(images.labels))
      >>> logged = monitor(nnx.state(model))
      >>> list(logged), list(logged["input"])
      (['input', 'hidden_1', 'hidden_2'], ['area', 'alignment', 'curve', 'null_area', 'null_curve'])

    Source: the recipe of the authors' demo notebook (Imani, Hu, White, TMLR 2022), at every step.
    """
    require_tap(tap)
    require_settings(method, defer, targets_as, reduce)
    order = as_count(order, "order")
    for name, given in (("inputs", inputs), ("targets", targets)):
        require_values(given, name, "pass the same numpy array in all processes")
    x = as_program_array(inputs, "inputs")
    y = as_target_matrix(as_program_array(targets, "targets"))
    if x.ndim == 0 or len(x) != len(y):
        raise ValueError(
            f"inputs and targets must have as many rows, found shapes {x.shape} and {y.shape}"
        )
    require_finite(y, "targets")
    if measures is None:
        measures = alignment_measures(len(y), null=method != "quadrature")
    if centered is None:
        centered = not are_codes(y, "targets")
    require_flag(centered, "centered")
    checked = checked_measures(measures, method)
    measurement = Measurement(checked, method, defer, targets_as, centered, order, reduce)
    constant: OrderedDict[str, Logged] = OrderedDict()
    if jnp.issubdtype(x.dtype, jnp.floating):
        require_finite(x, "inputs")
        constant = _of_inputs(x, y, measurement)
    return Monitor(tap, x, y, constant, {}, measurement)


def _of_inputs(inputs: Array, targets: Array, measurement: Measurement) -> OrderedDict[str, Logged]:
    """The measures of the inputs themselves, flattened."""
    flattened = replace(measurement, reduce="flatten", defer=False)
    rows = inputs if inputs.ndim > 1 else inputs[:, None]
    return flattened.finish(flattened.take(OrderedDict({INPUT: rows}), targets))
