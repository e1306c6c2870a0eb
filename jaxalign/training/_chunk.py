"""The compiled part of ``fit``: a chunk of steps as one program, of one model or of several, on one
device or a mesh.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxalign.capture._nnx import record
from jaxalign.monitoring import BatchMonitor, Monitor
from jaxalign.training._convolutions import fast_convolutions

Objective = Callable[[Any, Array], tuple[Array, dict[str, Array]]]
Optimizer: TypeAlias = optax.GradientTransformation | Callable[[Any], optax.GradientTransformation]


class TrainState(NamedTuple):
    """Everything an update changes. Of several models every array has a leading axis, one entry a
    model.

    Attributes:
      step: () int32, updates done.
      model: the nnx state, parameters and the rest; ``nnx.update(model, state.model)`` puts it into
        a module.
      optimizer: the optax state.
    """

    step: Array
    model: nnx.State
    optimizer: optax.OptState


class Rows(NamedTuple):
    """Of every step, of the batch it trains on."""

    step: Array
    loss: Array
    metrics: dict[str, Array]


class Recipe(NamedTuple):
    """What is trained and how: all of a chunk that is not an array.

    Attributes:
      graph: the model without its arrays.
      optimizer: an optax transformation, or a function that makes one of hyperparameters.
      objective: (outputs, labels) → (loss, metrics).
      steps: updates of the whole run.
    """

    graph: nnx.GraphDef
    optimizer: Optimizer
    objective: Objective
    steps: int

    def transformation(self, hyperparameters: Any) -> optax.GradientTransformation:
        """The optimizer with its hyperparameters, if it has any."""
        return (
            self.optimizer
            if isinstance(self.optimizer, optax.GradientTransformation)
            else self.optimizer(hyperparameters)
        )

    def start(self, module: nnx.Module, hyperparameters: Any = None) -> TrainState:
        """The state of a module before its first update."""
        variables = nnx.state(module)
        parameters = nnx.filter_state(variables, nnx.Param)
        return TrainState(
            jnp.zeros((), jnp.int32),
            variables,
            self.transformation(hyperparameters).init(parameters),
        )


class Data(NamedTuple):
    """What stays the same in all chunks and for all models."""

    monitor: Monitor | BatchMonitor | None
    inputs: Array
    labels: Array


def of_one(
    recipe: Recipe, split: NamedSharding | None = None
) -> Callable[[TrainState, Array, Any, Data], tuple]:
    """``(state, indices, hyperparameters, data) -> (state, (rows, records))`` of one model;
    ``split`` puts batches on a mesh.

    ``indices`` are (m, every, batch) row numbers: m times, the parameters are measured and
    ``every`` updates are made.
    """

    def loss_of(watch, parameters, rest, batch, answers):
        module = nnx.merge(recipe.graph, parameters, rest, copy=True)
        outputs, activations = (
            (module(batch), {})
            if watch is None
            else record(module, watch.tap.layers, watch.tap.at, batch)
        )
        if not isinstance(outputs, jax.Array):
            raise ValueError(
                f"model must return one array of outputs, found a {type(outputs).__name__}; wrap it to pick one"
            )
        loss, metrics = recipe.objective(outputs, answers)
        if jnp.shape(loss) != ():
            raise ValueError(
                f"objective must return a scalar loss first, found shape {jnp.shape(loss)}; take its mean"
            )
        return loss, (metrics, nnx.state(module, nnx.Not(nnx.Param)), activations)

    def run(
        state: TrainState, indices: Array, hyperparameters: Any, data: Data
    ) -> tuple[TrainState, tuple]:
        optimizer, monitor = recipe.transformation(hyperparameters), data.monitor

        def one_step(state, rows, watch: BatchMonitor | None = None):
            batch, answers = data.inputs[rows], data.labels[rows]
            if split is not None:
                batch, answers = jax.lax.with_sharding_constraint((batch, answers), split)
            parameters, rest = nnx.split_state(state.model, nnx.Param, ...)
            differentiated = jax.value_and_grad(partial(loss_of, watch), has_aux=True)
            (loss, (metrics, new_rest, activations)), gradient = fast_convolutions(differentiated)(
                parameters, rest, batch, answers
            )
            updates, new_optimizer = optimizer.update(gradient, state.optimizer, parameters)
            new = TrainState(
                state.step + 1,
                nnx.merge_state(optax.apply_updates(parameters, updates), new_rest),
                new_optimizer,
            )
            # Chunks have one length, so that one program serves all: past the last update the state
            # stands still.
            kept = jax.tree.map(partial(jnp.where, state.step < recipe.steps), new, state)
            samples = OrderedDict() if watch is None else watch.sample(activations, answers)
            return kept, (Rows(state.step, loss, metrics), samples)

        def measured_steps(state, indices):
            if isinstance(
                monitor, BatchMonitor
            ):  # its first step is measured on the way, the others are not
                state, (first, samples) = one_step(state, indices[0], monitor)
                state, (others, _) = jax.lax.scan(one_step, state, indices[1:])
                return state, (
                    jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs]), first, others),
                    samples,
                )
            samples = (
                OrderedDict() if monitor is None else fast_convolutions(monitor.sample)(state.model)
            )
            state, (rows, _) = jax.lax.scan(one_step, state, indices)
            return state, (rows, samples)

        state, (rows, samples) = jax.lax.scan(measured_steps, state, indices)
        records = OrderedDict() if monitor is None else jax.vmap(monitor.finish)(samples)
        return state, (jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows), records)

    return run


def of_several(recipe: Recipe, *, same_batches: bool, hyperparameters: bool) -> Callable:
    """The same of several models as one vmapped program: rows and records get an axis of models
    after that of the steps.

    Args:
      recipe: of each.
      same_batches: whether they see the same indices, or each its own, along a leading axis.
      hyperparameters: whether each has its own, along a leading axis.
    """
    axes = (0, None if same_batches else 0, 0 if hyperparameters else None, None)
    return jax.vmap(of_one(recipe), in_axes=axes, out_axes=(0, 1))


def compiled(run: Callable, mesh: Mesh | None, axes: tuple[P, P, P] | None = None) -> Callable:
    """``run`` jitted; over a mesh with everything it returns on every device.

    Args:
      run: of one model or several.
      mesh: of one axis, or None.
      axes: of several models over a mesh, how their state, indices and hyperparameters are split;
        the state stays so.
    """
    if mesh is None:
        return jax.jit(run, donate_argnums=(0,))
    everywhere = NamedSharding(mesh, P())
    if axes is None:
        return jax.jit(run, donate_argnums=(0,), out_shardings=everywhere)
    models = axes[0]
    apart = jax.shard_map(
        run, mesh=mesh, in_specs=(*axes, P()), out_specs=(models, P(None, *models)), check_vma=False
    )
    return jax.jit(
        apart, donate_argnums=(0,), out_shardings=(NamedSharding(mesh, models), everywhere)
    )
