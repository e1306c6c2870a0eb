"""Every layer's label spectrum over a stream of batches: one jitted pass of the model, sums of
fixed size.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxalign._core.float64 import float64_inside
from jaxalign._features import prepare
from jaxalign._spectrum.moments import Basis, Moments, basis, moments
from jaxalign._spectrum.spectrum import Spectrum, spectrum
from jaxalign.capture import Tap
from jaxalign.inspection._batches import Batch, checked
from jaxalign.inspection._plan import LayerPlan, Reductions, plan, require_memory, with_inputs

Callback = Callable[[str, int], None]
Layers = OrderedDict[str, LayerPlan]
Sums = OrderedDict[str, Moments]
Bases = OrderedDict[str, Basis]


@dataclass(frozen=True)
class Inspection:
    """What ``inspect`` found.

    Attributes:
      spectra: layer → Spectrum, in the order layers run; "input" first, if the inputs were
        measured.
      layers: layer → LayerPlan: its shape, reduction and width.
      left_out: layer → why it was not measured.
      samples: n, or Σ w_i of weighted rows.
    """

    spectra: OrderedDict[str, Spectrum]
    layers: Layers
    left_out: dict[str, str]
    samples: float

    def rows(self, layer: str) -> float:
        """How many rows the layer's matrix had: n, times the positions where they were taken as
        samples.
        """
        return self.samples * self.layers[layer].positions

    def thresholds(self, count: int = 64) -> np.ndarray:
        """(count,) values of τ, evenly spaced from 0 to √rows of the longest matrix, which no σ of
        unit rows exceeds.
        """
        return np.linspace(0, max(map(self.rows, self.layers)) ** 0.5, count, dtype=np.float32)


def inspect(
    tap: Tap,
    state: Any,
    batches: Iterable[tuple[Any, ...]],
    *,
    reduce: Reductions = "mean",
    centered: bool = False,
    refined: bool = False,
    memory_limit: int = 4 * 2**30,
    callback: Callback | None = None,
) -> Inspection:
    """Every tapped layer's label spectrum over a stream of batches, in the memory of two batches
    and one sum a layer.

    Rows are prepared as in the paper (``prepare``: a 1 appended, length one). The model runs once a
    batch, as it is: put it into evaluation mode first, or BatchNorm and Dropout act as in training.

    Args:
      tap: the layers, from ``tap(model, ...)``.
      state: the model's state, as the tap takes it.
      batches: of (inputs, targets) or (inputs, targets, weights): inputs (n, ...) or a tuple of
        several arguments of n rows; targets (n, k) from ``encode_targets(labels, classes=...)``;
        weights (n,) w_i ≥ 0, a row of weight 0 does not count. Short batches are filled up with
        rows of weight 0, so equal ones but for the last compile once.
      reduce: what becomes of the positions of maps, for all layers or by glob pattern; see
        ``plan``.
      centered: about the mean of all rows.
      refined: read the batches a second time, for the accuracy of a float64 SVD.
      memory_limit: bytes that the sums of all layers may take, (d + 2)(d + 1 + k) float64 each,
        three times that if refined.
      callback: called with ("first pass" or "second pass", samples seen so far) and ("solving",
        layers done).

    Returns:
      Inspection.

    Raises:
      ValueError: no batch; inputs, targets and weights that differ in n, or batches in shape;
        values that are not finite; no layer that can be measured; sums over the memory limit
        (before the model runs); a layer that yields NaN or Inf; ``refined`` for an iterator that is
        used up after one pass, or whose second pass yields other rows in number.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.data import fashion_mnist
      >>> from jaxalign.inspection import inspect
      >>> from jaxalign.models import MLP
      >>> images = fashion_mnist(classes=(2, 4)).train
      >>> y = np.asarray(ja.encode_targets(images.labels, classes=(0, 1)))
      >>> model = MLP(784, (32, 32), 1, rngs=nnx.Rngs(0))
      >>> batches = [(images.inputs[i : i + 256], y[i : i + 256]) for i in range(0, 1000, 256)]
      >>> found = inspect(ja.tap(model, "hidden_*"), nnx.state(model), batches)
      >>> {name: s.singular_values.shape for name, s in found.spectra.items()}
      {'input': (785,), 'hidden_1': (33,), 'hidden_2': (33,)}

    Source: the measure is that of Imani, Hu, White (TMLR 2022); ours for a stream.
    """
    if refined and iter(batches) is batches:
        raise ValueError(
            "refined reads batches twice, found an iterator; pass a list, or what makes a new iterator"
        )
    stream = checked(batches)
    first = next(stream, None)
    if first is None:
        raise ValueError(
            "batches must yield at least one (inputs, targets), found none; is the iterator used up?"
        )
    planned = plan(tap, state, first.arguments, reduce=reduce)
    require_memory(planned.layers, np.shape(first.targets)[1], 3 if refined else 1, memory_limit)
    run = partial(_accumulate, tap, planned.layers, state, callback=callback)
    sums, samples = run(chain([first], stream), stage="first pass")
    bases = None
    if refined:
        bases = OrderedDict((name, basis(m, centered=centered)) for name, m in sums.items())
        del sums
        sums, again = run(checked(batches), bases, stage="second pass")
        if again != samples:
            raise ValueError(
                f"batches must be the same on both passes, found rows of weight {samples:g} and then {again:g}"
            )
    return Inspection(
        _solved(sums, bases, centered, callback), planned.layers, planned.left_out, samples
    )


def _accumulate(
    tap: Tap,
    layers: Layers,
    state: Any,
    batches: Iterator[Batch],
    bases: Bases | None = None,
    *,
    stage: str,
    callback: Callback | None,
) -> tuple[Sums, float]:
    """The moments of every layer over all batches, and Σ w. At most two batches are on their way."""
    of_batch = partial(_moments_of_batch, tap, layers)
    add = jax.jit(partial(_added, of_batch), donate_argnums=0)
    sums: Sums | None = None
    before: Array | None = None
    size, seen, samples = 0, 0, 0.0
    for batch in batches:
        size = max(size, len(batch.weights))
        full = batch.padded(size)
        if sums is None:
            sums = _zeros(jax.eval_shape(of_batch, state, *full, bases))
        sums, finite = add(sums, state, *full, bases)
        seen, samples = (
            seen + len(batch.weights),
            samples + float(batch.weights.sum(dtype=np.float64)),
        )
        if before is not None:
            _require_all(before, layers)  # waits for the batch before this one
        before = finite
        if callback:
            callback(stage, seen)
    assert sums is not None
    assert before is not None
    _require_all(before, layers)
    if samples == 0:
        raise ValueError("weights must not all be 0: no row counts")
    return sums, samples


def _moments_of_batch(
    tap: Tap,
    layers: Layers,
    state: Any,
    arguments: tuple,
    targets: Array,
    weights: Array,
    bases: Bases | None,
) -> Sums:
    _, activations = tap(state, *arguments)
    values = with_inputs(arguments, activations)
    sums: Sums = OrderedDict()
    for name, layer in layers.items():
        rows = prepare(values[name], reduce=layer.reduce)
        y, w = (jnp.repeat(x, layer.positions, axis=0) for x in (targets, weights))
        sums[name] = moments(rows, y, w, basis=None if bases is None else bases[name])
    return sums


def _added(of_batch: Callable[..., Sums], sums: Sums, *arguments: Any) -> tuple[Sums, Array]:
    """The sums with one batch more, and of every layer whether its sum of rows is finite: NaN in
    any value shows there.
    """
    added = OrderedDict((name, sums[name] + part) for name, part in of_batch(*arguments).items())
    finite = [
        float64_inside(partial(_has_finite_rows, m.width))(m.products) for m in added.values()
    ]
    return added, jnp.stack(finite)


def _has_finite_rows(width: int, products: Array) -> Array:
    return jnp.isfinite(products[:, width]).all()


def _zeros(shapes: Sums) -> Sums:
    with jax.enable_x64(True):
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)


def _require_all(finite: Array, layers: Layers) -> None:
    if bad := [name for name, fine in zip(layers, np.asarray(finite), strict=True) if not fine]:
        raise ValueError(
            f"layer {bad[0]} yields NaN or Inf on finite inputs ({len(bad)} of {len(layers)} layers do); "
            "the model diverged or its weights are damaged, or inputs are far out of its range"
        )


def _solved(sums: Sums, bases: Bases | None, centered: bool, callback: Callback | None):
    found: OrderedDict[str, Spectrum] = OrderedDict()
    while sums:
        name, held = sums.popitem(last=False)  # freed when solved: the eigensolver needs the room
        found[name] = (
            spectrum(held, centered=centered)
            if bases is None
            else spectrum(held, basis=bases.pop(name))
        )
        if callback:
            callback("solving", len(found))
    return found
