"""A network trained with several seeds, measured before and after, or all along: what most studies
are made of.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike

from jaxalign.monitoring import Monitor, Record, monitor
from jaxalign.runs import History
from jaxalign.studies.shared.networks import Architecture
from jaxalign.studies.shared.problems import Problem
from jaxalign.training import fit
from jaxalign.training._chunk import Optimizer


def train_seeds(
    architecture: Architecture,
    problem: Problem,
    optimizer: Optimizer,
    *,
    seeds: Sequence[int],
    steps: int,
    every: int | None = None,
    batch_size: int = 64,
    measured: int | None = None,
    grid: ArrayLike | None = None,
    hyperparameters: Any = None,
) -> History:
    """The history of a network trained once a seed (of weights and of the order of samples), its
    arrays (steps, seeds, ...).

    Layers are "input" and those the architecture calls its post-activations, measured on the first
    ``measured`` training samples with the network in the mode it is trained in.

    Args:
      architecture: what to build.
      problem: what to train it on.
      optimizer: any optax transformation; or, with ``hyperparameters``, a function that makes one
        of them.
      seeds: one network each, all trained as one program; the same seed twice is the same network.
      steps: updates.
      every: measure every so many steps; by default before the first and after the last one only.
      batch_size: samples a step, at most all there are.
      measured: how many samples; by default all.
      grid: (g,) τ of the curves; by default those of ``monitor``.
      hyperparameters: as of ``fit``, one entry a network.
    """
    networks = initial(architecture, problem, seeds)
    count = len(problem.inputs) if measured is None else measured
    watch = monitor(
        architecture.tap(networks[0]), problem.inputs[:count], problem.targets[:count], grid=grid
    )
    state, history = fit(
        networks,
        optimizer,
        problem.inputs,
        problem.labels,
        steps=steps,
        monitor=None if every is None else watch,
        every=1 if every is None else every,
        batch_size=min(batch_size, len(problem.inputs)),
        seed=seeds,
        hyperparameters=hyperparameters,
        objective=problem.objective,
    )
    if every is not None:
        return history
    return history._replace(
        measured=np.array([0, steps]),
        layers=_records(watch, states_of(networks), state.model),
        thresholds=np.asarray(watch.reading.thresholds),
        grid=np.asarray(watch.reading.grid),
        total=watch.total,
    )


def initial(architecture: Architecture, problem: Problem, seeds: Sequence[int]) -> list[Any]:
    """An untrained network a seed, all built by one program.

    Layer by layer, compiling would take most of a small study's time, and so would the random
    numbers, were they jax's usual ones: XLA's own compile five times as fast. They are the same
    again on the same kind of device.
    """

    def build(seed):
        return architecture.build(problem, nnx.Rngs(jax.random.key(seed, impl="rbg")))

    graph = nnx.graphdef(nnx.eval_shape(lambda: build(0)))
    states = jax.device_get(
        jax.jit(lambda seeds: jax.lax.map(lambda seed: nnx.state(build(seed)), seeds))(
            jnp.asarray(seeds)
        )
    )

    def of_model(i):
        return jax.tree.map(lambda x: jnp.asarray(x[i]), states)

    return [nnx.merge(graph, of_model(i)) for i in range(len(seeds))]


def states_of(networks: Sequence[nnx.Module]) -> nnx.State:
    """The states of networks that differ in their arrays alone, as one with an axis of networks
    first.
    """
    return jax.tree.map(lambda *x: jnp.stack(x), *map(nnx.state, networks))


def _records(watch: Monitor, before: nnx.State, after: nnx.State) -> OrderedDict[str, Record]:
    """(2, seeds, ...): of the networks before and after."""
    measure = jax.jit(jax.vmap(lambda watch, state: watch(state), in_axes=(None, 0)))
    first, last = jax.device_get((measure(watch, before), measure(watch, after)))
    return jax.tree.map(lambda *x: np.stack(x), first, last)
