"""What is measured at each step: every layer's alignment on a fixed probe set, as one pure function of the state."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxalign._checks import require_finite, require_matrix
from jaxalign.alignment import alignment_area, alignment_curve
from jaxalign.baselines import random_label_curve
from jaxalign.capture import Tap
from jaxalign.moments import Moments, moments
from jaxalign.quadrature import quadrature
from jaxalign.representation import INPUT, prepare
from jaxalign.spectrum import Spectrum, spectrum

Measure = Literal["exact", "quadrature", "deferred"]
MEASURES: tuple[Measure, ...] = ("exact", "quadrature", "deferred")


class Record(NamedTuple):
    """The alignment of one layer, each value the mean over target columns. In a history all have a leading step axis.

    Attributes:
      area: () ∫A dτ.
      alignment: (m,) A(τ) at the thresholds.
      curve: (g,) A(τ) on the grid.
      null: (g,) E[A(τ)] for random targets of the same norm, on the grid; NaN from a quadrature, which counts no σ.
    """

    area: Array | np.ndarray
    alignment: Array | np.ndarray
    curve: Array | np.ndarray
    null: Array | np.ndarray


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Probe:
    """A fixed probe set and what is measured on it: ``probe(state) -> {layer: Record}``, pure and jittable. A pytree.

    The same in two parts, for loops that solve later, many steps at once: ``probe.finish(probe.sample(state))``.

    Attributes:
      tap: which layers of which model.
      inputs: (n, ...) probe inputs.
      targets: (n, k) Y.
      thresholds: (m,) τ of ``Record.alignment``.
      grid: (g,) τ of ``Record.curve``.
      constant: records that no state changes: those of the inputs themselves.
      measure: how: "exact", "quadrature" or "deferred".
      order: of the quadrature.
    """

    tap: Tap = field(metadata={"static": True})
    inputs: Array
    targets: Array
    thresholds: Array
    grid: Array
    constant: OrderedDict[str, Record]
    measure: Measure = field(default="exact", metadata={"static": True})
    order: int = field(default=16, metadata={"static": True})

    def __call__(self, state: Any) -> OrderedDict[str, Record]:
        return self.finish(self.sample(state))

    def sample(self, state: Any) -> OrderedDict[str, Record | Moments]:
        """What has to be taken while the activations are there: the records, or, deferred, the moments they come from."""
        _, activations = self.tap(state, self.inputs)
        return OrderedDict((name, self._sample(prepare(a))) for name, a in activations.items())

    def finish(self, samples: OrderedDict[str, Record | Moments]) -> OrderedDict[str, Record]:
        """The records of samples; ``jax.vmap(probe.finish)`` solves those of many steps as one batch."""
        solved = ((n, self._record(spectrum(s)) if isinstance(s, Moments) else s) for n, s in samples.items())
        return OrderedDict([*self.constant.items(), *solved])

    def _sample(self, features: Array) -> Record | Moments:
        if self.measure == "deferred":
            return moments(features, self.targets)
        if self.measure == "exact":
            return self._record(spectrum(features, self.targets))
        order = min(self.order, *features.shape)
        precision: Literal["float64", "float32"] = "float64" if features.dtype == jnp.float64 else "float32"
        found = self._record(quadrature(features, self.targets, order=order, dtype=precision).spectrum)
        return found._replace(null=jnp.full_like(found.null, jnp.nan))

    def _record(self, found: Spectrum) -> Record:
        return record_of(found, len(self.targets), self.thresholds, self.grid)


def probe(
    tap: Tap,
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    thresholds: Sequence[float] | ArrayLike = (1.0, 3.0, 5.0, 7.0, 10.0),
    grid: ArrayLike | None = None,
    measure: Measure = "exact",
    order: int = 16,
) -> Probe:
    """Fix what is measured at each step: the alignment of the tapped layers on n inputs, beside that of the inputs.

    Args:
      tap: the layers, from ``tap(model, ...)``.
      inputs: (n, ...) inputs of the model. Floating-point inputs are measured too, once, as the layer "input".
      targets: (n, k) from ``encode_targets``.
      thresholds: (m,) τ to record, in the units of the singular values, of which none exceeds √n.
      grid: (g,) τ of the whole curve; by default 64 values evenly spaced on [0, √n].
      measure: "exact": the whole spectrum of every layer; "quadrature": ``order`` products with each, a few times cheaper,
        whose curve has about as many steps; "deferred": inside the step only sums of products are taken, and ``fit`` solves
        those of a chunk as one batch, which an accelerator is better at than at one by one.
      order: steps of the quadrature, or the width of a layer where that is smaller.

    Returns:
      Probe, a callable pytree.

    Raises:
      ValueError: inputs and targets of different n; inputs, thresholds or grid not finite; thresholds or grid empty or of
        the wrong rank; an unknown measure; an order under 1.

    Example:
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.data import fashion_mnist
      >>> from jaxalign.models import MLP
      >>> images = fashion_mnist(classes=(2, 4)).train.first(100)
      >>> model = MLP(784, (32, 32), 1, rngs=nnx.Rngs(0))
      >>> measured = ja.probe(ja.tap(model, "hidden_*"), images.inputs, ja.encode_targets(images.labels))
      >>> list(measured(nnx.state(model)))
      ['input', 'hidden_1', 'hidden_2']

    Source: the recipe of the authors' demo notebook (Imani, Hu, White, TMLR 2022), at every step.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure must be {', '.join(map(repr, MEASURES))}, found {measure!r}")
    if order < 1:
        raise ValueError(f"order must be at least 1, found {order}")
    inputs = jnp.asarray(inputs)
    targets = jnp.asarray(targets)
    require_matrix(targets, "targets", "k")
    if inputs.ndim == 0 or len(inputs) != len(targets):
        raise ValueError(f"inputs and targets must have as many rows, found shapes {inputs.shape} and {targets.shape}")
    tau = _thresholds(thresholds, "thresholds")
    grid = _thresholds(np.linspace(0, len(inputs) ** 0.5, 64) if grid is None else grid, "grid")
    constant: OrderedDict[str, Record] = OrderedDict()
    if jnp.issubdtype(inputs.dtype, jnp.floating):
        require_finite(inputs, "inputs")
        constant[INPUT] = record_of(spectrum(prepare(inputs), targets), len(targets), tau, grid)
    return Probe(tap, inputs, targets, tau, grid, constant, measure, order)


@partial(jax.jit, static_argnums=(1,))
def record_of(found: Spectrum, n: int, thresholds: Array, grid: Array) -> Record:
    """The Record of one layer's spectrum, of n samples."""
    return Record(
        area=alignment_area(found).mean(),
        alignment=alignment_curve(found, thresholds).mean(axis=1),
        curve=alignment_curve(found, grid).mean(axis=1),
        null=random_label_curve(found, grid, n).mean(axis=1),
    )


def _thresholds(values: Sequence[float] | ArrayLike, name: str) -> Array:
    tau = jnp.asarray(values, jnp.float32)
    if tau.ndim != 1 or tau.size == 0:
        raise ValueError(f"{name} must be a non-empty list of numbers, found shape {tau.shape}")
    require_finite(tau, name)
    return tau
