"""Measuring the training batches themselves: their activations are there already, so no second
forward pass is made.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import jax
from jax import Array
from jax.typing import ArrayLike

from jaxalign.capture import Tap
from jaxalign.monitoring._record import Measure, Pooling, Reading, Record, Sample, reading


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class BatchMonitor:
    """What is measured on each training batch, from the activations of the loss's own forward pass.
    A pytree.

    Attributes:
      tap: which layers of which model.
      encode: a batch's labels to its targets, (b, k).
      samples: b, the batch size.
      reading: thresholds, grid, and the way to measure.
    """

    tap: Tap = field(metadata={"static": True})
    encode: Callable[[Array], Array] = field(metadata={"static": True})
    samples: int = field(metadata={"static": True})
    reading: Reading

    @property
    def total(self) -> float:
        """‖y‖² of targets ±1."""
        return float(self.samples)

    def sample(
        self, activations: OrderedDict[str, Array], labels: Array
    ) -> OrderedDict[str, Sample]:
        """What has to be taken in the step."""
        return self.reading.sample(activations, self.encode(labels))

    def finish(self, samples: OrderedDict[str, Sample]) -> OrderedDict[str, Record]:
        """The records of samples."""
        return self.reading.finish(samples, self.samples)


def batch_monitor(
    tap: Tap,
    encode: Callable[[Array], Array],
    samples: int,
    *,
    thresholds: Sequence[float] | ArrayLike = (0.5, 1.0, 2.0, 3.0, 4.0),
    grid: ArrayLike | None = None,
    measure: Measure = "exact",
    order: int = 16,
    reduce: Pooling = "flatten",
) -> BatchMonitor:
    """Measure the batches that ``fit`` trains on, as they come, in place of a fixed monitored set.

    Costs no forward pass of its own, and sees the network as the loss does, dropout and batch
    statistics included. A batch of b rows has singular values of up to √b, and other rows than the
    one before: the curves are noisier, and not those of a monitored set of another size. The inputs are
    not measured.

    Args:
      tap: the layers, from ``tap(model, ...)`` of the flax.nnx model that is trained.
      encode: labels (b,) to targets (b, k), jittable: ``lambda labels: ja.encode_targets(labels,
        classes=(0, 1))``.
      samples: b, the batch size that ``fit`` is given.
      thresholds: (m,) τ to record.
      grid: (g,) τ of the whole curve; by default 64 values evenly spaced on [0, √b].
      measure: as of ``monitor``.
      order: of the quadrature.
      reduce: as of ``monitor``: "mean" for feature maps.

    Returns:
      BatchMonitor, for ``fit(..., monitor=...)``; its records and ``History.total`` suppose targets of
      ‖y‖² = b, as ±1 have.

    Raises:
      ValueError: thresholds or grid empty or not finite; an unknown measure or reduction; order or
        samples under 1.

    Example:
      >>> import optax
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.data import fashion_mnist
      >>> from jaxalign.models import MLP
      >>> images = fashion_mnist(classes=(2, 4)).train.first(100)
      >>> model = MLP(784, (32, 32), 1, rngs=nnx.Rngs(0))
      >>> encode = lambda labels: ja.encode_targets(labels, classes=(0, 1))
      >>> watch = ja.batch_monitor(ja.tap(model, "hidden_*"), encode, samples=50)
      >>> settings = {"steps": 4, "batch_size": 50, "monitor": watch}
      >>> _, history = ja.fit(model, optax.adam(1e-3), images.inputs, images.labels, **settings)
      >>> list(history.layers), history.layers["hidden_2"].area.shape
      (['hidden_1', 'hidden_2'], (5,))

    Source: ours.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, found {samples}")
    return BatchMonitor(
        tap, encode, samples, reading(thresholds, grid, measure, order, reduce, samples)
    )
