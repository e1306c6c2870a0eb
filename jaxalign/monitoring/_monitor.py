"""What is measured at each step: every layer's alignment on a fixed monitored set, as one pure function
of the state.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.typing import ArrayLike

from jaxalign._core.checks import require_finite, require_matrix
from jaxalign._core.mesh import one_axis, put
from jaxalign._features import INPUT, prepare
from jaxalign._spectrum.spectrum import spectrum
from jaxalign.capture import Tap
from jaxalign.monitoring._record import (
    Measure,
    Pooling,
    Reading,
    Record,
    Sample,
    reading,
    record_of,
)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Monitor:
    """A fixed monitored set and what is measured on it: ``monitor(state) -> {layer: Record}``, pure and
    jittable. A pytree.

    The same in two parts, for loops that solve later, many steps at once:
    ``monitor.finish(monitor.sample(state))``.

    Attributes:
      tap: which layers of which model.
      inputs: (n, ...) monitor inputs.
      targets: (n, k) Y.
      constant: records that no state changes: those of the inputs themselves.
      reading: thresholds, grid, and the way to measure.
    """

    tap: Tap = field(metadata={"static": True})
    inputs: Array
    targets: Array
    constant: OrderedDict[str, Record]
    reading: Reading

    @property
    def total(self) -> float:
        """‖y‖², the mean over target columns."""
        return float(jnp.mean(jnp.sum(self.targets**2, axis=0)))

    def over(self, mesh: Mesh) -> "Monitor":
        """The same with its rows split over a mesh of one axis: each device runs its rows, and one
        sum a layer is exchanged.

        Raises:
          ValueError: a mesh of more axes than one, or of a number of devices that does not divide
            the rows.
        """
        mesh = one_axis(mesh)
        if len(self.inputs) % mesh.size:
            fitting = len(self.inputs) // mesh.size * mesh.size
            raise ValueError(
                f"the monitor's {len(self.inputs)} rows must be a multiple of the mesh's {mesh.size} devices; "
                f"take {fitting} of them, or leave out devices"
            )
        split, everywhere = NamedSharding(mesh, P(mesh.axis_names[0])), NamedSharding(mesh, P())
        inputs, targets = put((self.inputs, self.targets), split)
        constant, read = put((self.constant, self.reading), everywhere)
        return Monitor(self.tap, inputs, targets, constant, replace(read, mesh=mesh))

    def __call__(self, state: Any) -> OrderedDict[str, Record]:
        return self.finish(self.sample(state))

    def sample(self, state: Any) -> OrderedDict[str, Sample]:
        """What has to be taken while the activations are there: the records, or, deferred, what
        they come from.
        """
        _, activations = self.tap(state, self.inputs)
        return self.reading.sample(activations, self.targets)

    def finish(self, samples: OrderedDict[str, Sample]) -> OrderedDict[str, Record]:
        """The records of samples; ``jax.vmap(monitor.finish)`` solves those of many steps as one
        batch.
        """
        return OrderedDict(
            [*self.constant.items(), *self.reading.finish(samples, len(self.targets)).items()]
        )


def monitor(
    tap: Tap,
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    thresholds: Sequence[float] | ArrayLike = (1.0, 3.0, 5.0, 7.0, 10.0),
    grid: ArrayLike | None = None,
    measure: Measure = "exact",
    order: int = 16,
    reduce: Pooling = "flatten",
) -> Monitor:
    """Fix what is measured at each step: the alignment of the tapped layers on n inputs, beside
    that of the inputs.

    Args:
      tap: the layers, from ``tap(model, ...)``.
      inputs: (n, ...) inputs of the model. Floating-point inputs are measured too, once, as the
        layer "input".
      targets: (n, k) from ``encode_targets``.
      thresholds: (m,) τ to record, in the units of the singular values, of which none exceeds √n.
      grid: (g,) τ of the whole curve; by default 64 values evenly spaced on [0, √n].
      measure: "exact": the whole spectrum of every layer; "quadrature": ``order`` products with
        each, a few times cheaper, whose curve has about as many steps; "deferred": inside the step
        only sums of products are taken (of a layer wider than n, its rows), and ``fit`` solves
        those of a chunk as one batch, which an accelerator is better at than at one by one.
      order: steps of the quadrature, or the width of a layer where that is smaller.
      reduce: what becomes of the positions of a map (n, ..., c), as in ``prepare``: "flatten" makes
        each a feature of its own, 65,536 of the first maps of a ResNet, "mean" averages them to d =
        c, "cls" keeps the first. "input" is flattened.

    Returns:
      Monitor, a callable pytree.

    Raises:
      ValueError: inputs and targets of different n; inputs, thresholds or grid not finite;
        thresholds or grid empty or of the wrong rank; an unknown measure or reduction; an order
        under 1.

    Example:
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.data import fashion_mnist
      >>> from jaxalign.models import MLP
      >>> images = fashion_mnist(classes=(2, 4)).train.first(100)
      >>> model = MLP(784, (32, 32), 1, rngs=nnx.Rngs(0))
      >>> measured = ja.monitor(ja.tap(model, "hidden_*"), images.inputs, ja.encode_targets(images.labels))
      >>> list(measured(nnx.state(model)))
      ['input', 'hidden_1', 'hidden_2']

    Source: the recipe of the authors' demo notebook (Imani, Hu, White, TMLR 2022), at every step.
    """
    inputs = jnp.asarray(inputs)
    targets = jnp.asarray(targets)
    require_matrix(targets, "targets", "k")
    if inputs.ndim == 0 or len(inputs) != len(targets):
        raise ValueError(
            f"inputs and targets must have as many rows, found shapes {inputs.shape} and {targets.shape}"
        )
    read = reading(thresholds, grid, measure, order, reduce, len(inputs))
    constant: OrderedDict[str, Record] = OrderedDict()
    if jnp.issubdtype(inputs.dtype, jnp.floating):
        require_finite(inputs, "inputs")
        constant[INPUT] = record_of(
            spectrum(prepare(inputs), targets), len(targets), read.thresholds, read.grid
        )
    return Monitor(tap, inputs, targets, constant, read)
