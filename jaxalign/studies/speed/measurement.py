"""The measurement of the study of speed: representations of many networks, and descent on each."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from jaxalign._features import INPUT, prepare
from jaxalign.alignment import alignment_area, alignment_curve
from jaxalign.capture import tap
from jaxalign.studies.framework.study import Cell, Row
from jaxalign.studies.shared.networks import ARCHITECTURES, Architecture, architecture_named
from jaxalign.studies.shared.problems import Problem
from jaxalign.studies.speed.descent import compared, spectrum64
from jaxalign.studies.speed.design import PROBLEMS, THRESHOLDS, Config
from jaxalign.studies.speed.table import NO_NETWORK, PERMUTED, TRUE
from jaxalign.training import fit


class Origin(NamedTuple):
    """Where a representation comes from."""

    network: int
    state: str
    layer: str


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per representation and labels; those of the inputs have the network −1."""
    problem = PROBLEMS[str(cell["problem"])](config.num_samples)
    architecture = architecture_named(cell["architecture"], ARCHITECTURES)
    rows: list[Row] = []
    for origin, activations in _representations(config, problem, architecture):
        features = np.asarray(prepare(activations, reduce="flatten"))
        # The layers of one network share a permutation.
        draw = np.random.default_rng(max(origin.network, 0))
        permuted = problem.targets[draw.permutation(len(problem.targets))]
        heads = _heads(config, features, np.hstack([problem.targets, permuted]))
        for labels, head in zip((TRUE, PERMUTED), heads, strict=True):
            rows.append({**cell, **origin._asdict(), "labels": labels, **head})
    return rows


def _representations(
    config: Config, problem: Problem, architecture: Architecture
) -> Iterator[tuple[Origin, Array]]:
    """The inputs, then every layer of every network, untrained and trained."""
    yield Origin(NO_NETWORK, INPUT, INPUT), jnp.asarray(problem.inputs)
    networks = [architecture.build(problem, nnx.Rngs(seed)) for seed in range(config.seeds)]
    learned, _ = fit(
        networks,
        optax.adam(1e-3),
        problem.inputs,
        problem.labels,
        steps=config.training,
        batch_size=min(64, len(problem.inputs)),
        seed=range(config.seeds),
        objective=problem.objective,
    )
    layers = tap(networks[0], networks[0].post_activations)
    activations = jax.jit(lambda state: layers(state, problem.inputs)[1])
    for i, network in enumerate(networks):
        trained = jax.tree.map(lambda x, i=i: x[i], learned.model)
        for name, state in (("untrained", nnx.state(network)), ("trained", trained)):
            for layer, activation in activations(state).items():
                yield Origin(i, name, layer), activation


def _heads(config: Config, features: np.ndarray, targets: np.ndarray) -> list[Row]:
    """What is measured of a head on Φ (n, d), for each of the targets (n, k)."""
    n, d = features.shape
    s = spectrum64(features, targets)
    largest = float(s.singular_values[0])
    inside = s.energy.sum(axis=0) / s.total
    with jax.enable_x64(True):
        area = np.asarray(alignment_area(s)) / s.total / n**0.5
        alignment = np.asarray(alignment_curve(s, config.threshold * n**0.5)) / s.total
    # The largest step size that is safe for this representation, and one that is safe for all.
    own = compared(features, targets, s, 1 / largest**2, config.horizon, THRESHOLDS)
    common = compared(features, targets, s, 1 / n, config.horizon, THRESHOLDS)
    return [
        {
            "d": d,
            "largest": float(largest / n**0.5),
            "area": float(area[j]),
            "alignment": float(alignment[j]),
            "inside": float(inside[j]),
            "steps": _steps_to(config.share, own.loss[:, j]),
            "reached": bool(own.loss[-1, j] <= config.share),
            "steps_far": _steps_to(config.far, own.loss[:, j]),
            "reached_far": bool(own.loss[-1, j] <= config.far),
            "promised": _steps_to(config.share, own.bound[:, j]),
            "steps_common": _steps_to(config.share, common.loss[:, j]),
            "reached_common": bool(common.loss[-1, j] <= config.share),
            "error": float(max(own.error[j], common.error[j])),
            "violations": int(own.violations[j] + common.violations[j]),
        }
        for j in range(targets.shape[1])
    ]


def _steps_to(share: float, loss: np.ndarray) -> int:
    """The first step at which a loss is that small; one past the horizon if none is."""
    # A loss falls, and searchsorted takes rising values.
    return int(np.searchsorted(-loss, -share))
