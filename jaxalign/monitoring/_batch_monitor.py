"""Measuring the training batches themselves, from the forward pass that the loss makes anyway."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from jaxalign._core.kinds import as_count, require_flag, require_function
from jaxalign._core.mesh import Axes, split_over
from jaxalign.capture import Tap
from jaxalign.capture._tap import require_tap
from jaxalign.monitoring._alignment_measures import alignment_measures
from jaxalign.monitoring._measurement import Logged, Measurement, References, Sample
from jaxalign.monitoring._measures import TargetsAs
from jaxalign.monitoring._monitor import coordinates_of
from jaxalign.monitoring._settings import (
    Measures,
    Method,
    Pooling,
    checked_measures,
    require_settings,
)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)  # hashed by identity, so that it can be jitted itself
class BatchMonitor:
    """What is measured on each training batch, from the loss's own forward pass. A pytree.

    Attributes:
      tap: which layers of which model.
      encode: a batch's labels to its targets, (b, k).
      num_samples: b, the batch size.
      measurement: what to log, and how.
    """

    tap: Tap = field(metadata={"static": True})
    encode: Callable[[Array], Array] = field(metadata={"static": True})
    num_samples: int = field(metadata={"static": True})
    measurement: Measurement = field(metadata={"static": True})

    @property
    def batch_tap(self) -> Tap:
        """The layers that it needs of the training batch."""
        return self.tap

    @property
    def total(self) -> float:
        """‖y‖² of targets ±1."""
        return float(self.num_samples)

    @property
    def coordinates(self) -> dict[str, dict[str, np.ndarray]]:
        """{measure: {axis: its values}}."""
        return coordinates_of(self.measurement)

    def over(self, mesh: Mesh, axis: Axes | None = None) -> "BatchMonitor":
        """The same for batches whose rows are split over an axis of a mesh, or over several; a mesh
        of a single axis needs no name.
        """
        return replace(self, measurement=replace(self.measurement, split=split_over(mesh, axis)))

    def starting_from(self, state: Any) -> "BatchMonitor":
        """Itself: a batch monitor has no pairs with the start."""
        return self

    def with_references(self, references: References) -> "BatchMonitor":
        """Itself: a batch monitor has no pairs with the start."""
        return self

    def sample(self, state: Any) -> OrderedDict[str, Sample]:
        """What it takes of a state without a batch: nothing."""
        return OrderedDict()

    def sample_of_batch(
        self, activations: OrderedDict[str, Array], outputs: Array, labels: Array
    ) -> OrderedDict[str, Sample]:
        """What has to be taken in the step."""
        samples = self.measurement.take(activations, self.encode(labels), outputs)
        self.measurement.require_logged(samples)
        return samples

    def finish(self, samples: OrderedDict[str, Sample]) -> OrderedDict[str, Logged]:
        """What samples come to."""
        return self.measurement.finish(samples)


def batch_monitor(
    tap: Tap,
    encode: Callable[[Array], Array],
    num_samples: int,
    *,
    measures: Measures | None = None,
    method: Method = "auto",
    defer: bool = False,
    targets_as: TargetsAs = "mean",
    centered: bool = False,
    order: int = 16,
    reduce: Pooling = "mean",
) -> BatchMonitor:
    """Measure the batches that ``fit`` trains on, as they come, in place of a fixed set.

    It costs no forward pass of its own, and sees the network as the loss does, dropout and batch
    statistics included. A batch of b rows has singular values of up to √b, and each batch has other
    rows. So the curves are noisier, and differ from those of a fixed set of another size. Inputs
    are not measured.

    Args:
      tap: the layers, from ``tap(model, ...)`` of the model that is trained.
      encode: labels (b,) to targets (b, k), jittable:
        ``lambda labels: ja.encode_targets(labels, classes=(0, 1))``.
      num_samples: b, the batch size that ``fit`` is given.
      measures: as of ``monitor``; by default ``alignment_measures(b)``. Pairs with the start are
        for fixed sets.
      method: as of ``monitor``.
      defer: as of ``monitor``.
      targets_as: as of ``monitor``.
      centered: about the mean of the batch.
      order: of the quadrature.
      reduce: as of ``monitor``.

    Returns:
      BatchMonitor, for ``fit(..., monitor=...)``; ``History.totals`` supposes targets of ‖y‖² = b,
      as ±1 have.

    Raises:
      ValueError: as ``monitor``; num_samples below 1; a pair with a fixed representation.
      TypeError: as ``monitor``; ``encode`` that is not a function; num_samples that is not a whole
        number.

    Example:
      >>> import optax
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.data import fashion_mnist
      >>> from jaxalign.models import MLP
      >>> images = fashion_mnist(classes=(2, 4)).train.first(100)
      >>> model = MLP(784, (32, 32), 1, rngs=nnx.Rngs(0))
      >>> encode = lambda labels: ja.encode_targets(labels, classes=(0, 1))
      >>> monitor = ja.batch_monitor(ja.tap(model, "hidden_*"), encode, num_samples=50)
      >>> settings = {"steps": 4, "batch_size": 50, "monitor": monitor}
      >>> _, history = ja.fit(model, optax.adam(1e-3), images.inputs, images.labels, **settings)
      >>> list(history.layers), history.layers["hidden_2"]["area"].shape
      (['hidden_1', 'hidden_2'], (5,))

    Source: ours.
    """
    require_tap(tap)
    require_settings(method, defer, targets_as, reduce)
    order = as_count(order, "order")
    require_function(encode, "encode", "pass lambda labels: encode_targets(labels, classes=...)")
    num_samples = as_count(num_samples, "num_samples")
    require_flag(centered, "centered")
    if measures is None:
        measures = alignment_measures(num_samples, null=method != "quadrature")
    checked = checked_measures(measures, method)
    for name, measure in checked:
        if measure.source == "pair" and not measure.is_with_previous:
            raise ValueError(
                f"measure {name!r} compares with fixed samples, which no training batch has; "
                "pass reference='previous', or log it by a monitor of a fixed set"
            )
    measurement = Measurement(checked, method, defer, targets_as, centered, order, reduce)
    return BatchMonitor(tap, encode, num_samples, measurement)
