"""What a run is, in a few digests: a checkpoint of another run is told by them."""

from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxalign._core.digests import digest, digest_of_program
from jaxalign.monitoring import Monitor
from jaxalign.training._chunk import forward
from jaxalign.training._optimizer import extra_arguments
from jaxalign.training._state import Data, Recipe, TrainState

COMPUTED = ("initial state", "optimizer", "model or objective")
"""The digests that may come out otherwise on another device or by another version of a library."""


class Fingerprint(NamedTuple):
    """What a run is known by.

    Attributes:
      settings: numbers that were passed.
      environment: what computed the digests.
      digests: of what was passed, by what a message calls it.
    """

    settings: dict[str, Any]
    environment: str
    digests: dict[str, str]


def fingerprint(
    settings: dict[str, Any],
    recipe: Recipe,
    start: TrainState,
    hyperparameters: Any,
    data: Data,
    batch: tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct],
) -> Fingerprint:
    """What a run is known by.

    Args:
      settings: numbers that were passed.
      recipe: what is trained.
      start: the state at step 0; of several models with their axis.
      hyperparameters: of the optimizers, with the same axis, or None.
      data: what it is trained on and measured with.
      batch: what inputs and labels of a batch are.
    """
    axes = int(start.step.ndim)  # of models
    state, own = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(np.shape(x)[axes:], x.dtype), (start, hyperparameters)
    )
    parameters, rest = recipe.network.split(state.model)

    def optimize(parameters: Any, optimizer_state: Any, own: Any) -> Any:
        # Gradient and loss are of the model and the objective, which have a digest of their own.
        optimizer = recipe.transformation(own)
        extra = extra_arguments(0.0, parameters, optax.tree.sum)
        updated = optimizer.update(parameters, optimizer_state, parameters, **extra)
        return optimizer.init(parameters), updated

    def loss(parameters: Any, rest: Any, inputs: Any, labels: Any) -> Any:
        key = partial(jax.random.key, 0)
        return forward(recipe, None, parameters, rest, inputs, labels, key)[0]

    monitored = {
        name: (m.inputs, m.targets) for name, m in data.monitors.items() if isinstance(m, Monitor)
    }
    digests = {
        "training data": digest((data.inputs, data.labels)),
        "monitored data": digest(monitored),
        "hyperparameters": digest(hyperparameters),
        "arrays of model or optimizer": digest(state),
        "initial state": digest(start.model),
        "optimizer": digest_of_program(optimize, parameters, state.optimizer, own),
        "model or objective": digest_of_program(loss, parameters, rest, *batch),
    }
    libraries = ", ".join(f"{name} {version(name)}" for name in ("jax", "flax", "optax"))
    environment = f"{jax.devices()[0].device_kind} with {libraries}"
    return Fingerprint(settings, environment, digests)
