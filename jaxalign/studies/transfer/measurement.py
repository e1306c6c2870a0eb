"""The measurement of the study of transfer: train on the source, freeze, train heads on targets."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxalign._features import INPUT
from jaxalign.capture import tap
from jaxalign.models import MLP
from jaxalign.studies.framework.study import Cell, Row
from jaxalign.studies.shared.seeds import states_of
from jaxalign.studies.transfer.design import Config, Target, targets_of
from jaxalign.studies.transfer.heads import Reading, read
from jaxalign.training import fit

# Seeds of points; those of the targets' points are the networks' seeds.
SOURCE_POINTS = 1_000_000
TEST_POINTS = 1_000_001


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per network, target and hidden layer."""
    targets = targets_of(config, str(cell["problem"]))
    source, source_labels = _points(targets[:1], config.source_samples, SOURCE_POINTS)
    test, test_labels = _points(targets, config.test_samples, TEST_POINTS)
    few = [_points(targets, config.target_samples, seed) for seed in range(config.seeds)]
    inputs = np.stack([points for points, _ in few])
    labels = np.stack([classes for _, classes in few])
    networks, trained = _trained(config, source, source_labels[:, 0])

    run = jax.jit(jax.vmap(tap(networks[0], MLP.post_activations)))
    # Every network is tested on the same points.
    tests = jnp.broadcast_to(test, (config.seeds, *test.shape))
    reading = partial(read, labels=labels, test_labels=test_labels, steps=config.head_steps)

    def of_layers(states: Any) -> dict[str, Reading]:
        _, activations = run(states, inputs)
        _, held_out = run(states, tests)
        return {layer: reading(x, held_out[layer]) for layer, x in activations.items()}

    after = of_layers(trained)
    before = of_layers(states_of(networks))
    raw = reading(jnp.asarray(inputs), tests)
    outputs = np.asarray(run(trained, tests)[0])[..., 0]
    source_accuracy = ((outputs > 0) == test_labels[:, 0]).mean(axis=1)
    return [
        {
            **cell,
            "seed": i,
            "target": target.name,
            "dial": target.dial,
            "layer": layer,
            "source_accuracy": float(source_accuracy[i]),
            **_columns("trained", after[layer], i, j),
            **_columns("untrained", before[layer], i, j),
            **_columns(INPUT, raw, i, j),
        }
        for i in range(config.seeds)
        for j, target in enumerate(targets)
        for layer in after
    ]


def _trained(config: Config, inputs: np.ndarray, labels: np.ndarray) -> tuple[list[MLP], Any]:
    """The networks as they began, and the state of all of them, stacked, after the source task."""
    seeds = list(range(config.seeds))
    networks = [
        MLP(inputs.shape[1], config.widths, 1, bias=True, rngs=nnx.Rngs(seed)) for seed in seeds
    ]
    state, _ = fit(networks, optax.adam(1e-3), inputs, labels, steps=config.steps, seed=seeds)
    return networks, state.model


def _points(targets: Sequence[Target], n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (n, p), scaled to [−1, 1], and the labels of every target, (n, k)."""
    tasks = [target.sample(n, seed=seed) for target in targets]
    return 2 * tasks[0].inputs - 1, np.stack([task.labels for task in tasks], axis=1)


def _columns(whose: str, reading: Reading, i: int, j: int) -> Row:
    return {
        f"{quantity}_{whose}": float(values[i, j]) for quantity, values in reading._asdict().items()
    }
