"""A network trained with several seeds, measured before and after, or all along: what most studies are made of."""

from collections.abc import Sequence

import optax
from flax import nnx
from jax.typing import ArrayLike

from jaxalign.capture import tap
from jaxalign.studies.networks import Architecture
from jaxalign.studies.problems import Problem
from jaxalign.training import History, fit, probe


def train_seeds(
    architecture: Architecture,
    problem: Problem,
    optimizer: optax.GradientTransformation,
    *,
    seeds: Sequence[int],
    steps: int,
    every: int | None = None,
    batch_size: int = 64,
    measured: int | None = None,
    grid: ArrayLike | None = None,
) -> History:
    """The history of a network trained once a seed (of weights and of the order of samples), its arrays (steps, seeds, ...).

    Layers are "input" and those the architecture calls its post-activations, measured on the first ``measured`` training
    samples with the network in the mode it is trained in.

    Args:
      architecture: what to build.
      problem: what to train it on.
      optimizer: any optax transformation.
      seeds: one network each, all trained as one program.
      steps: updates.
      every: measure every so many steps; by default before the first and after the last one only.
      batch_size: samples a step, at most all there are.
      measured: how many samples; by default all.
      grid: (g,) τ of the curves; by default those of ``probe``.
    """
    networks = [architecture.build(problem, nnx.Rngs(seed)) for seed in seeds]
    count = len(problem.inputs) if measured is None else measured
    layers = networks[0].post_activations
    watch = probe(tap(networks[0], layers), problem.inputs[:count], problem.targets[:count], grid=grid)
    _, history = fit(
        networks,
        optimizer,
        problem.inputs,
        problem.labels,
        steps=steps,
        probe=watch,
        every=steps if every is None else every,
        batch_size=min(batch_size, len(problem.inputs)),
        seed=seeds,
        objective=problem.objective,
    )
    return history
