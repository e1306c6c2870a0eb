"""Deferred measurements are solved as one batch: those of a whole chunk, or of a part that fits."""

from collections.abc import Callable
from typing import Any

import jax

from jaxalign.training._state import Monitors

KEPT_BYTES = 2**30
"""What is kept on a device until it is solved: 1 GiB. An eigensolver needs a few times as much."""


def scan_and_finish(
    step: Callable[[Any, Any], tuple[Any, tuple[Any, Any]]],
    monitors: Monitors,
    state: Any,
    batches: Any,
    models: int,
) -> tuple[Any, tuple[Any, Any]]:
    """``lax.scan`` of a measured step, with what is logged in place of the samples.

    Args:
      step: (state, batch) → (state, (rows, samples)).
      monitors: that took the samples.
      state: before the first step.
      batches: of all measured steps.
      models: how many run at once on a device.
    """

    def run(state: Any, batches: Any) -> tuple[Any, tuple[Any, Any]]:
        state, (rows, samples) = jax.lax.scan(step, state, batches)
        logged = {name: jax.vmap(m.finish)(samples[name]) for name, m in monitors.items()}
        return state, (rows, logged)

    if not any(m.measurement.waiting for m in monitors.values()):
        return run(state, batches)
    steps = len(jax.tree.leaves(batches)[0])
    first = jax.tree.map(lambda x: x[0], batches)
    _, (_, samples) = jax.eval_shape(step, state, first)
    together = _solved_together(steps, models * _kept_bytes(samples))
    if together == steps:
        return run(state, batches)
    parts = jax.tree.map(lambda x: x.reshape(-1, together, *x.shape[1:]), batches)
    state, results = jax.lax.scan(run, state, parts)
    return state, jax.tree.map(lambda x: x.reshape(steps, *x.shape[2:]), results)


def _kept_bytes(samples: Any) -> int:
    """What one measured step of a model keeps."""
    kept = [sample.later for layers in samples.values() for sample in layers.values()]
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(kept))


def _solved_together(steps: int, kept_bytes: int) -> int:
    """The largest equal parts of the steps that keep at most ``KEPT_BYTES``; one step may keep
    more.
    """
    divisors = (count for count in range(steps, 1, -1) if steps % count == 0)
    return next((count for count in divisors if count * kept_bytes <= KEPT_BYTES), 1)
