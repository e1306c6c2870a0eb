"""One pass of the model over a stream: the moments of every layer, in the memory of two batches."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from jaxalign._core.float64 import float64_inside
from jaxalign._features import Reduce, prepare
from jaxalign._spectrum.moments import Basis, moments
from jaxalign.capture import Tap
from jaxalign.inspection._batches import NO_TARGETS, Batch, TargetRange
from jaxalign.inspection._plan import LayerPlan, Layers, with_inputs
from jaxalign.inspection._unfinished import Progress, Sums, Unfinished, checksum_of

Callback = Callable[[str, int], None]
Bases = OrderedDict[str, Basis]
Plans = tuple[tuple[str, LayerPlan], ...]
"""Layers as a static, hashable argument: a second inspection of the same network compiles nothing.
"""


class Pass(NamedTuple):
    """The moments of every layer over all batches, Σ w, and the range of the targets."""

    sums: Sums
    num_samples: float
    targets: TargetRange


def run_pass(
    tap: Tap,
    layers: Layers,
    state: Any,
    batches: Iterator[Batch],
    bases: Bases | None = None,
    *,
    stage: str,
    callback: Callback | None,
    unfinished: Unfinished | None = None,
) -> Pass:
    """One pass over all batches, of which at most two are in memory."""
    plans = tuple(layers.items())
    first = next(batches, None)
    if first is None:
        return Pass(OrderedDict(), 0.0, NO_TARGETS)
    of_batch = partial(_moments_of_batch, tap, plans)
    zeros = _zeros(jax.eval_shape(of_batch, state, *first, bases))
    progress = Progress()
    if unfinished is not None:
        progress = unfinished.read(stage, zeros)
    finite_before: Array | None = None
    try:
        for batch in _remaining(chain([first], batches), progress):
            size = max(progress.size, len(batch.weights))
            checksum = checksum_of(batch, progress.checksum) if unfinished is not None else 0
            before = zeros if progress.sums is None else progress.sums
            sums, finite = _add_batch(tap, plans, before, state, *batch.padded(size), bases)
            progress = progress.after(batch, sums, size, checksum)
            if finite_before is not None:
                # Waits for the batch before this one, which keeps the queue at two batches.
                _require_all(finite_before, layers)
            finite_before = finite
            if unfinished is not None:
                unfinished.write_if_due(stage, progress)
            if callback:
                callback(stage, progress.rows)
    except KeyboardInterrupt:
        if unfinished is not None:
            unfinished.write(stage, progress)
        raise
    if finite_before is not None:
        _require_all(finite_before, layers)
    if progress.num_samples == 0:
        raise ValueError("weights must not all be 0: no row counts")
    if unfinished is not None:
        unfinished.write_if_due(stage, progress)
    assert progress.sums is not None
    return Pass(progress.sums, progress.num_samples, progress.targets)


def _remaining(batches: Iterator[Batch], progress: Progress) -> Iterator[Batch]:
    """The batches after those that were added, which have to be the same as then."""
    # Also of a pass that had come to its end: sums of other data are not told by the model.
    checksum = 0
    for _ in range(progress.batches):
        batch = next(batches, None)
        if batch is None:
            break
        checksum = checksum_of(batch, checksum)
    if checksum != progress.checksum:
        raise ValueError(
            "batches must be those of the interrupted inspection, found others among the first "
            f"{progress.batches}; pass the same data, or begin again in another folder"
        )
    yield from batches


# Donated: the sums so far are overwritten in place, so that there is one copy of them.
@partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def _add_batch(
    tap: Tap, layers: Plans, sums: Sums, *arguments: Any
) -> tuple[Sums, Bool[Array, " layers"]]:
    """The sums with one batch more, and for every layer whether its sum of rows is finite."""
    of_batch = _moments_of_batch(tap, layers, *arguments)
    added = OrderedDict((name, sums[name] + part) for name, part in of_batch.items())
    finite = [
        float64_inside(partial(_has_finite_rows, m.width))(m.products) for m in added.values()
    ]
    return added, jnp.stack(finite)


def _moments_of_batch(
    tap: Tap,
    layers: Plans,
    state: Any,
    arguments: tuple[Any, ...],
    targets: Float[Array, "n k"],
    weights: Float[Array, " n"],
    counted: Bool[Array, "n t"] | None,
    bases: Bases | None,
) -> Sums:
    _, activations = tap(state, *arguments)
    values = with_inputs(arguments, activations)
    sums: Sums = OrderedDict()
    for name, layer in layers:
        # Each position of a sample is a row with the sample's target and weight.
        y = jnp.repeat(targets, layer.positions, axis=0)
        w = jnp.repeat(weights, layer.positions, axis=0)
        part, mean_mask = without_padding(values[name], layer.reduce, counted)
        rows = jnp.asarray(prepare(part, reduce=layer.reduce, mask=mean_mask))
        if counted is not None and part.shape[:-1] == counted.shape and layer.reduce == "samples":
            w = w * counted.ravel()
        sums[name] = moments(rows, y, w, basis=None if bases is None else bases[name])
    return sums


def without_padding(
    values: Float[Array, "n ..."], reduce: Reduce, counted: Bool[Array, "n t"] | None
) -> tuple[Float[Array, "n ..."], Bool[Array, "n t"] | None]:
    """What ``pool`` takes of a layer, so that padding does not count: activations, and the mask of
    a mean. Only layers (n, t, d) have padding.
    """
    if counted is None or values.shape[:-1] != counted.shape or reduce == "cls":
        return values, None
    if reduce == "mean":
        return values, counted
    return jnp.where(counted[..., None], values, 0), None


def _has_finite_rows(width: int, products: Array) -> Bool[Array, ""]:
    # The column of ones holds Σ w φ, so a NaN or Inf in any value of any row shows there.
    return jnp.isfinite(products[:, width]).all()


def _zeros(shapes: Sums) -> Sums:
    with jax.enable_x64(True):
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)


def _require_all(finite: Bool[Array, " layers"], layers: Layers) -> None:
    bad = [name for name, fine in zip(layers, np.asarray(finite), strict=True) if not fine]
    if bad:
        raise ValueError(
            f"layer {bad[0]} yields NaN or Inf on finite inputs "
            f"({len(bad)} of {len(layers)} layers do); the model diverged or its weights are "
            "damaged, or inputs are far out of its range"
        )
