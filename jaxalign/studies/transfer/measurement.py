"""The measurement of the study of transfer: train on the source, freeze, train heads on targets."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from jaxalign.capture import tap
from jaxalign.models import MLP
from jaxalign.studies.framework.study import Cell, Row
from jaxalign.studies.shared.seeds import states_of
from jaxalign.studies.transfer.design import Config, problem_of, seeds_of
from jaxalign.studies.transfer.heads import read
from jaxalign.studies.transfer.scratch import BATCH, OPTIMIZER, accuracy_from_scratch
from jaxalign.studies.transfer.tasks import Points, Task
from jaxalign.training import fit

SOURCE_POINTS = 1_000_000
"""The seed of the source's points; those of the targets' points are the networks' seeds."""

Columns = dict[str, np.ndarray]
"""Name of a column → its value for each network."""


class Networks(NamedTuple):
    """The networks of a cell.

    Attributes:
      seeds: one of each.
      graph: what they have in common.
      run: of (states, inputs (s, n, p)): the outputs (s, n, 1) and the last hidden layer (s, n, d).
      states: all of them, stacked, by steps on the source; 0 is before.
    """

    seeds: list[int]
    graph: Any
    run: Callable[[Any, Any], tuple[Array, Array]]
    states: dict[int, Any]


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per target, network and length of training."""
    problem = problem_of(config, cell)
    networks = _trained(config, problem.source, seeds_of(config, cell))
    test = problem.source.test(config.test_samples)
    learned = {steps: _accuracy(networks, steps, test) for steps in config.steps}
    rows: list[Row] = []
    for target in problem.targets:
        references, frozen = _of_target(config, networks, target)
        for i, seed in enumerate(networks.seeds):
            for steps in config.steps:
                columns = {"source_accuracy": learned[steps], **frozen[steps], **references}
                rows.append(
                    {
                        **cell,
                        "seed": seed,
                        "steps": steps,
                        "target": target.name,
                        "dial": float(target.dial),
                        **{name: float(values[i]) for name, values in columns.items()},
                    }
                )
    return rows


def _trained(config: Config, source: Task, seeds: list[int]) -> Networks:
    """Networks before training on the source, and after each number of steps."""
    inputs, labels = source.training(config.source_samples, SOURCE_POINTS)
    begun = [
        MLP(inputs.shape[1], config.widths, 1, bias=True, rngs=nnx.Rngs(seed)) for seed in seeds
    ]
    states = {0: states_of(begun)}
    for steps in config.steps:
        # The same seed again: a longer run begins as the shorter ones.
        state, _ = fit(begun, OPTIMIZER, inputs, labels, steps=steps, batch_size=BATCH, seed=seeds)
        states[steps] = state.model
    layer = tap(begun[0], "logits", at="input")

    def run(state: Any, inputs: Array) -> tuple[Array, Array]:
        outputs, activations = layer(state, inputs)
        return outputs, activations["logits"]

    return Networks(seeds, nnx.graphdef(begun[0]), jax.jit(jax.vmap(run)), states)


def _accuracy(networks: Networks, steps: int, test: Points) -> np.ndarray:
    """The share of test points that each network has right."""
    inputs = np.broadcast_to(test.inputs, (len(networks.seeds), *test.inputs.shape))
    outputs, _ = networks.run(networks.states[steps], inputs)
    return ((np.asarray(outputs)[..., 0] > 0) == (test.labels == 1)).mean(axis=1)


def _of_target(
    config: Config, networks: Networks, target: Task
) -> tuple[Columns, dict[int, Columns]]:
    """What a target's references have, and what frozen networks have, by steps on the source."""
    few = [target.training(config.target_samples, seed) for seed in networks.seeds]
    inputs, labels = map(np.stack, zip(*few, strict=True))
    test = target.test(config.test_samples)
    # Every network is tested on the same points.
    tests = np.broadcast_to(test.inputs, (len(inputs), *test.inputs.shape))

    def columns(whose: str, train: Any, held_out: Any) -> Columns:
        reading = read(train, held_out, labels, test.labels, config.target_steps)
        return {f"{quantity}_{whose}": values for quantity, values in reading._asdict().items()}

    def of_layer(whose: str, steps: int) -> Columns:
        states = networks.states[steps]
        return columns(whose, networks.run(states, inputs)[1], networks.run(states, tests)[1])

    scratch = accuracy_from_scratch(
        networks.graph, networks.states[0], inputs, labels, *test, steps=config.target_steps
    )
    references = {
        **of_layer("untrained", 0),
        **columns("input", jnp.asarray(inputs), jnp.asarray(tests)),
        "accuracy_scratch": np.asarray(scratch),
    }
    return references, {steps: of_layer("frozen", steps) for steps in config.steps}
