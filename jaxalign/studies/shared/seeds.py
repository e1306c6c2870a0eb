"""Networks of one architecture trained with several seeds, measured before and after training."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment import alignment_area, alignment_curve
from jaxalign.capture import Tap
from jaxalign.monitoring import Measure, Monitor, monitor, of_spectrum
from jaxalign.studies.shared.held_out import HELD_OUT, TRAINED_ON
from jaxalign.studies.shared.networks import Architecture
from jaxalign.studies.shared.problems import Problem
from jaxalign.training import fit
from jaxalign.training._optimizer import Optimizer

Measures = Mapping[str, Callable[[Spectrum], Array]]
Layers = OrderedDict[str, OrderedDict[str, np.ndarray]]


class Trained(NamedTuple):
    """Networks that were trained, one per seed.

    Attributes:
      loss: (steps, seeds) of the batches.
      layers: {layer: {measure: (2, seeds, ...)}}, before and after training.
      total: ‖y‖² of the targets.
      held_out: as ``layers``, on rows that were not trained on; None without them.
    """

    loss: np.ndarray
    layers: Layers
    total: float
    held_out: Layers | None = None

    @property
    def by_rows(self) -> dict[str, Layers]:
        """The layers on the rows trained on, and on those held out."""
        if self.held_out is None:
            return {TRAINED_ON: self.layers}
        return {TRAINED_ON: self.layers, HELD_OUT: self.held_out}

    @property
    def first_loss(self) -> np.ndarray:
        """(seeds,) the loss of the first batch."""
        return self.loss[0]

    @property
    def last_loss(self) -> np.ndarray:
        """(seeds,) the mean loss over the last tenth of the steps."""
        last_tenth = max(len(self.loss) // 10, 1)
        return self.loss[-last_tenth:].mean(axis=0)


def area(spectrum: Spectrum) -> Array:
    """() ∫A dτ of the only target."""
    return alignment_area(spectrum)[0]


def share(spectrum: Spectrum) -> Array:
    """() ∫A dτ/(‖y‖²√n) of the only target, between 0 and 1."""
    return area(spectrum) / (spectrum.total[0] * jnp.sqrt(spectrum.num_samples))


def in_span(spectrum: Spectrum) -> Array:
    """() A(0⁺)/‖y‖² of the only target: how much of it any direction of the layer can hold."""
    return jnp.sum(spectrum.energy[:, 0]) / spectrum.total[0]


def curve(thresholds: np.ndarray) -> Callable[[Spectrum], Array]:
    """The measure (t,) A(τ) of the only target, at these thresholds."""
    values = np.asarray(thresholds, np.float32)

    def at_thresholds(spectrum: Spectrum) -> Array:
        return alignment_curve(spectrum, values)[:, 0]

    return at_thresholds


def train_seeds(
    architecture: Architecture,
    problem: Problem,
    optimizer: Optimizer,
    *,
    seeds: Sequence[int],
    steps: int,
    batch_size: int = 64,
    measures: Measures | None = None,
    hyperparameters: Any = None,
    held_out: Problem | None = None,
) -> Trained:
    """Train one network per seed (of its weights and of the order of samples).

    The layers "input" and those that the architecture calls its post-activations are measured on
    all training samples.

    Args:
      architecture: what to build.
      problem: what to train it on.
      optimizer: any optax transformation; or, with ``hyperparameters``, a function that makes one
        of them.
      seeds: one network each, all trained as one program; the same seed twice is the same network.
      steps: updates.
      batch_size: samples per step, at most all there are.
      measures: {name: function of a layer's spectrum}; by default its "area".
      hyperparameters: as of ``fit``, one entry per network.
      held_out: other rows of the problem, to be measured too.
    """
    networks = initial(architecture, problem, seeds)
    # Nothing is measured in the loop, so that its program has no decompositions to compile.
    state, history = fit(
        networks,
        optimizer,
        problem.inputs,
        problem.labels,
        steps=steps,
        batch_size=min(batch_size, len(problem.inputs)),
        seed=seeds,
        hyperparameters=hyperparameters,
        objective=problem.objective,
    )
    tap = architecture.tap(networks[0])
    # The same measures in both monitors, so that these are one program.
    named = {name: of_spectrum(f) for name, f in (measures or {"area": area}).items()}
    states = states_of(networks), state.model
    layers = _before_and_after(monitor_of(tap, problem, named), *states)
    trained = Trained(history.loss, layers, float(jnp.sum(problem.targets**2)))
    if held_out is None:
        return trained
    return trained._replace(held_out=_before_and_after(monitor_of(tap, held_out, named), *states))


def monitor_of(
    tap: Tap, problem: Problem, measures: Mapping[str, Measure | Callable[..., Any]]
) -> Monitor:
    """The monitor of a problem's samples, as all studies measure them.

    Every position of a map is a feature of its own, and targets are not centred, also those of a
    regression, so that areas compare between problems.
    """
    return monitor(
        tap,
        problem.inputs,
        problem.targets,
        measures=measures,
        reduce="flatten",
        centered=False,
    )


def initial(architecture: Architecture, problem: Problem, seeds: Sequence[int]) -> list[Any]:
    """One untrained network per seed, all built by one program.

    Layer by layer, compiling would take most of a small study's time. So would jax's usual random
    numbers: XLA's own compile five times as fast, and repeat on the same kind of device.
    """

    # A traced seed, so that one program builds all networks.
    def build(seed):
        return architecture.build(problem, nnx.Rngs(jax.random.key(seed, impl="rbg")))

    def build_all(seeds):
        return jax.lax.map(lambda seed: nnx.state(build(seed)), seeds)

    graph = nnx.graphdef(nnx.eval_shape(lambda: build(0)))
    states = jax.device_get(jax.jit(build_all)(jnp.asarray(seeds)))

    def network(i):
        return nnx.merge(graph, jax.tree.map(lambda x: jnp.asarray(x[i]), states))

    return [network(i) for i in range(len(seeds))]


def states_of(networks: Sequence[nnx.Module]) -> nnx.State:
    """The states of networks that differ in their arrays alone, stacked on a first axis."""
    return jax.tree.map(lambda *x: jnp.stack(x), *map(nnx.state, networks))


@jax.jit
@partial(jax.vmap, in_axes=(None, 0))
def _measured(monitor: Monitor, state: nnx.State) -> OrderedDict[str, OrderedDict[str, Array]]:
    """The measures of each network; monitors of equal shapes are one program."""
    return monitor(state)


def _before_and_after(monitor: Monitor, before: nnx.State, after: nnx.State) -> Layers:
    """{layer: {measure: (2, seeds, ...)}} of the networks before and after training."""
    first, last = jax.device_get((_measured(monitor, before), _measured(monitor, after)))
    return jax.tree.map(lambda *x: np.stack(x), first, last)
