"""The compiled part of ``fit``: a chunk of steps as one program, of one model or of several, on one
device or a mesh.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from jax.typing import ArrayLike

from jaxalign.capture import Tap
from jaxalign.capture._passes import require_kept
from jaxalign.training._convolutions import fast_convolutions
from jaxalign.training._deferred import scan_and_finish
from jaxalign.training._layout import Layout
from jaxalign.training._objective import loss_and_metrics
from jaxalign.training._optimizer import ascent, extra_arguments
from jaxalign.training._samples import Take, take
from jaxalign.training._state import AnyMonitor, Data, Monitors, PerModel, Recipe, Rows, TrainState

Run = Callable[[TrainState, Any, PerModel, Data], tuple[TrainState, tuple[Any, Any]]]


def of_one(
    recipe: Recipe,
    take: Take = take,
    split: NamedSharding | None = None,
    shardings: TrainState | None = None,
    models: int = 1,
) -> Run:
    """A chunk of one model: ``(state, batches, per_model, data) -> (state, (rows, logged))``.

    ``batches`` are the samples of a Block: m times, the parameters are measured and ``every``
    updates are made. ``logged`` is {monitor: {layer: {measure: (m, ...)}}}.

    Args:
      recipe: what is trained.
      take: how a batch comes of the samples.
      split: how batches are put on a mesh.
      shardings: of the state on the mesh, which it keeps at every step.
      models: how many run at once on a device.
    """

    def run(
        state: TrainState, batches: Any, per_model: PerModel, data: Data
    ) -> tuple[TrainState, tuple]:
        monitors = _with_references(data.monitors, per_model.references)
        batch_tap = _batch_tap(monitors)
        optimizer = recipe.transformation(per_model.hyperparameters)
        data_of_step = data._replace(monitors=monitors)
        seed = per_model.seed
        step = _step_of(recipe, optimizer, data_of_step, seed, take, split, shardings)

        def measured_steps(state: TrainState, batches: Any) -> tuple[TrainState, tuple[Any, Any]]:
            samples = {
                name: fast_convolutions(m.sample)(state.model) for name, m in monitors.items()
            }
            if batch_tap is None:
                state, (rows, _) = jax.lax.scan(step, state, batches)
                return state, (rows, samples)
            # The first step is measured on the way, the others are not.
            state, (first, of_batch) = step(state, jax.tree.map(lambda x: x[0], batches), batch_tap)
            rows = jax.tree.map(lambda x: x[None], first)
            if len(jax.tree.leaves(batches)[0]) > 1:  # without jit, jax refuses a scan of length 0
                others = jax.tree.map(lambda x: x[1:], batches)
                state, (others, _) = jax.lax.scan(step, state, others)
                rows = jax.tree.map(lambda *parts: jnp.concatenate(parts), rows, others)
            return state, (rows, samples | of_batch)

        state, (rows, logged) = scan_and_finish(measured_steps, monitors, state, batches, models)
        _require_own_names(rows.metrics, monitors)
        return state, (jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows), logged)

    return run


def _step_of(
    recipe: Recipe,
    optimizer: optax.GradientTransformationExtraArgs,
    data: Data,
    seed: ArrayLike,
    take: Take,
    split: NamedSharding | None,
    shardings: TrainState | None,
) -> Callable[..., tuple[TrainState, tuple[Rows, Any]]]:
    """One update: ``(state, row numbers, tap) -> (state, (rows, samples))``."""

    def step(
        state: TrainState, rows: Any, tap: Tap | None = None
    ) -> tuple[TrainState, tuple[Rows, Any]]:
        # A stream brings the batches themselves.
        is_given = data.inputs is None
        batch, answers = rows if is_given else take((data.inputs, data.labels), rows)
        if split is not None:
            batch, answers = jax.lax.with_sharding_constraint((batch, answers), split)
        parameters, rest = recipe.network.split(state.model)

        def key() -> Array:
            return jax.random.fold_in(jax.random.key(seed), state.step)

        def loss_of(parameters: Any, tap: Tap | None = None) -> tuple:
            return forward(recipe, tap, parameters, rest, batch, answers, key)

        differentiated = jax.value_and_grad(partial(loss_of, tap=tap), has_aux=True)
        (loss, aux), derivative = fast_convolutions(differentiated)(parameters)
        gradient = ascent(derivative)
        updates, optimizer_state = optimizer.update(
            gradient,
            state.optimizer,
            parameters,
            # The same batch, the same other state, the same random keys.
            **extra_arguments(loss, gradient, lambda parameters: loss_of(parameters)[0]),
        )
        model = recipe.network.merge(optax.apply_updates(parameters, updates), aux.rest)
        moved = TrainState(state.step + 1, model, optimizer_state)
        require_kept(state, moved)
        # Chunks have one length, so that one program serves all: past the last update the state
        # stands still.
        moved = jax.tree.map(partial(jnp.where, state.step < data.steps), moved, state)
        if shardings is not None:
            moved = jax.lax.with_sharding_constraint(moved, shardings)
        samples = {} if tap is None else _samples_of_batch(data.monitors, aux, answers)
        return moved, (Rows(state.step, loss, aux.metrics), samples)

    return step


class _Aux(NamedTuple):
    """What a forward pass gives beside its loss."""

    metrics: dict[str, Array]
    rest: Any  # the variables that are not parameters, updated
    outputs: Array
    activations: OrderedDict[str, Array]


def forward(
    recipe: Recipe,
    tap: Tap | None,
    parameters: Any,
    rest: Any,
    batch: Array,
    answers: Array,
    key: Callable[[], Array],
) -> tuple[Array, _Aux]:
    """The loss of a batch and what else comes of it, with the activations of a tap."""
    layers = None if tap is None else (tap.layers, tap.at)
    outputs, updated, activations = recipe.network.run(parameters, rest, batch, key, layers)
    loss, metrics = loss_and_metrics(recipe.objective, outputs, answers)
    return loss, _Aux(metrics, updated, outputs, activations)


def _batch_tap(monitors: Monitors) -> Tap | None:
    """The layers of the training batch that a monitor reads; ``fit`` allows one such monitor."""
    taps = [m.batch_tap for m in monitors.values() if m.batch_tap is not None]
    return taps[0] if taps else None


def _samples_of_batch(monitors: Monitors, aux: _Aux, answers: Array) -> dict[str, Any]:
    return {
        name: m.sample_of_batch(aux.activations, aux.outputs, answers)
        for name, m in monitors.items()
        if m.batch_tap is not None
    }


def _require_own_names(metrics: Mapping[str, Array], monitors: Monitors) -> None:
    """Raise for a metric with the name of a logged column, or of a measure."""
    measures = {name for m in monitors.values() for name, _ in m.measurement.measures}
    for name in metrics:
        if name in measures:
            raise ValueError(
                f"measure {name!r} has the name of a metric of the objective; rename one of them"
            )
        if name in ("step", "loss", "layers", "measured"):
            raise ValueError(
                f"metric {name!r} of the objective has the name of a logged column; rename it"
            )


def _with_references(
    monitors: Monitors, references: Mapping[str, dict[str, Array]]
) -> dict[str, AnyMonitor]:
    return {
        name: m.with_references(references[name]) if name in references else m
        for name, m in monitors.items()
    }


def of_several(
    recipe: Recipe, take: Take = take, *, same_batches: bool, hyperparameters: bool
) -> Run:
    """A chunk of several models as one vmapped program: what is logged has an axis of models after
    that of the steps.

    Args:
      recipe: of each.
      take: how a batch comes of the samples.
      same_batches: whether they see the same batches, or each its own, along a leading axis.
      hyperparameters: whether each has its own, along a leading axis.
    """
    own = PerModel(0 if hyperparameters else None, 0, 0)  # type: ignore[arg-type]  # axes, no arrays
    axes = (0, None if same_batches else 0, own, None)

    def run(states: TrainState, *others: Any) -> tuple[TrainState, tuple[Any, Any]]:
        of_each = of_one(recipe, take, models=len(states.step))
        return jax.vmap(of_each, in_axes=axes, out_axes=(0, 1))(states, *others)

    return run


def compiled(run: Run, place: Layout | None, shardings: TrainState | None = None) -> Run:
    """``run`` jitted; over a mesh, its state stays where it is and what is logged is on every
    device.

    Args:
      run: of one model or several.
      place: where the run is; None is one device.
      shardings: of the state on the mesh.
    """
    if place is None or place.mesh is None:
        return jax.jit(run, donate_argnums=(0,))
    if place.models is not None and place.axes:
        models = P(place.axes)
        run = jax.shard_map(
            run,
            mesh=place.mesh,
            in_specs=(
                models,
                P() if place.same_batches else models,
                models,
                Data(P(), models, models, P()),  # type: ignore[arg-type]  # axes, no arrays
            ),
            out_specs=(models, P(None, place.axes)),
            axis_names=set(place.axes),
            check_vma=False,
        )
    out = (shardings, NamedSharding(place.mesh, P()))
    return jax.jit(run, donate_argnums=(0,), out_shardings=out)
