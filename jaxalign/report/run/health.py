"""What went wrong in a run, said before anything else."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxalign.report.run.summary import RunSummary
from jaxalign.runs import is_input

WORSE = 2.0
"""A loss that ends at so many times its first value was not trained down."""

SHORT = 10
"""Runs of fewer steps are not judged by their loss."""


def warnings(run: RunSummary, result: Mapping[str, Any]) -> Iterator[str]:
    """What would mislead whoever overlooks it."""
    if result.get("status") != "finished":
        yield f"This run did not finish: it came to step {run.history.step[-1]:,}."
    yield from faults(run)


def faults(run: RunSummary) -> Iterator[str]:
    """What went wrong in training: models that diverged, layers that died."""
    yield from _divergence(run)
    yield from _dead_layers(run)


def _dead_layers(run: RunSummary) -> Iterator[str]:
    """Layers that give all samples the same features in the end."""
    beginnings: dict[int, list[str]] = {}
    for name in run.history.layers:
        dead = _is_constant(run, name)
        if not is_input(name) and len(dead) and dead[-1]:
            alive = np.flatnonzero(~dead)
            first = 0 if alive.size == 0 else alive[-1] + 1
            step = int(run.steps_of(name, "area")[first])
            beginnings.setdefault(step, []).append(name)
    for step, names in beginnings.items():
        since = f"from step {step:,} on" if step else "from the beginning"
        verb = "give" if len(names) > 1 else "gives"
        yield (
            f"{', '.join(names)} {verb} all samples the same features {since}: dead units, in "
            "which nothing can be aligned. Try a smaller step size or another initialization."
        )


def _divergence(run: RunSummary) -> Iterator[str]:
    history = run.history
    loss = run.loss.value
    bad = np.flatnonzero(~np.isfinite(loss))
    if bad.size:
        yield (
            f"The loss is not finite from step {history.step[bad[0]]:,} on: the run diverged. "
            "Try a smaller step size."
        )
        return
    if run.diverged:
        positions = ", ".join(map(str, run.diverged))
        yield (
            f"{len(run.diverged)} of {history.models} models diverged "
            f"(counted from 0: {positions}); the medians are of the others."
        )
    last = float(np.mean(loss[-SHORT:]))
    if len(loss) > SHORT and last > WORSE * loss[0]:
        yield (
            f"The loss ends at {last:.3g}, above the {loss[0]:.3g} that it began with: nothing was "
            "learned. Try a smaller step size."
        )


def _is_constant(run: RunSummary, layer: str) -> np.ndarray:
    """(r,) at which measured steps a layer gives all samples the same features; empty where its
    area or its null was not logged.
    """
    chance = run.chance_area(layer)
    if chance is None or "area" not in run.shares[layer]:
        return np.zeros(0, bool)
    # Only then does no order of the targets change what the layer spans of them.
    return np.isclose(run.shares[layer]["area"].value, chance, rtol=1e-4, atol=1e-5)
