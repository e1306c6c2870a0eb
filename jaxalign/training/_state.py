"""What a chunk of training steps takes and gives: state, recipe, data."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxalign.capture._networks import Network
from jaxalign.monitoring import BatchMonitor, Monitor
from jaxalign.training._objective import Objective
from jaxalign.training._optimizer import Optimizer, is_optimizer, with_extra_arguments

AnyMonitor: TypeAlias = Monitor | BatchMonitor
Monitors: TypeAlias = Mapping[str, AnyMonitor]


class TrainState(NamedTuple):
    """Everything an update changes. Of several models every array has a leading axis of models.

    Attributes:
      step: () int32, updates done.
      model: the state that a tap of the model takes, parameters and the rest. flax.nnx:
        ``nnx.update(model, state.model)`` puts it into a module. flax.linen: the variables.
        equinox: the arrays, ``eqx.combine(state.model, model)``; with a State the pair of both.
        Keras: (values of the trainable variables, values of the others).
      optimizer: the optax state.
    """

    step: Array
    model: Any
    optimizer: optax.OptState


class Rows(NamedTuple):
    """Of every step, of the batch it trains on."""

    step: Array
    loss: Array
    metrics: dict[str, Array]


class Recipe(NamedTuple):
    """What is trained and how: all of a chunk that is not an array.

    Attributes:
      network: what the model computes, without its arrays.
      optimizer: what has init and update, or a function that makes it of hyperparameters.
      objective: (outputs, labels) → loss, or (loss, metrics).
    """

    network: Network
    optimizer: Optimizer
    objective: Objective

    def transformation(self, hyperparameters: Any) -> optax.GradientTransformationExtraArgs:
        """The optimizer with its hyperparameters, if it has any."""
        if is_optimizer(self.optimizer):
            return with_extra_arguments(self.optimizer)
        return with_extra_arguments(self.optimizer(hyperparameters))

    def start(self, variables: Any, hyperparameters: Any = None) -> TrainState:
        """The state of a model before its first update."""
        parameters, _ = self.network.split(variables)
        optimizer = self.transformation(hyperparameters).init(parameters)
        return TrainState(jnp.zeros((), jnp.int32), variables, optimizer)


class PerModel(NamedTuple):
    """What each of several models has of its own, beside its state.

    Attributes:
      hyperparameters: of its optimizer; None without any.
      references: {monitor: {layer: features at step 0}}.
      seed: () of the random keys of networks that do not hold their own.
    """

    hyperparameters: Any
    references: dict[str, dict[str, Array]]
    seed: ArrayLike = 0


class Data(NamedTuple):
    """What stays the same in all chunks and for all models.

    Attributes:
      monitors: by name.
      inputs: (n, ...) of the model; None where a stream brings them.
      labels: (n, ...) of the objective, or None.
      steps: () updates of the whole run. A number in the program would make another program of a
        run that goes on for longer.
    """

    monitors: Monitors
    inputs: Array | np.ndarray | None
    labels: Array | np.ndarray | None
    steps: ArrayLike
