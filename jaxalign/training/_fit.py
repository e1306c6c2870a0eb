"""``fit``: an optax training loop in jitted chunks that measures every layer's alignment at every
step.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from jax.sharding import Mesh
from jax.typing import ArrayLike

from jaxalign._core.checks import require_finite
from jaxalign.monitoring import BatchMonitor, Monitor, Record
from jaxalign.runs import History
from jaxalign.runs._history import concatenate
from jaxalign.training._batches import schedule
from jaxalign.training._checkpoints import Checkpoints
from jaxalign.training._chunk import (
    Data,
    Objective,
    Optimizer,
    Recipe,
    Rows,
    TrainState,
    compiled,
    of_one,
    of_several,
)
from jaxalign.training._layout import layout
from jaxalign.training._objective import classification


def fit(
    model: nnx.Module | Sequence[nnx.Module],
    optimizer: Optimizer,
    inputs: ArrayLike,
    labels: ArrayLike,
    *,
    steps: int,
    monitor: Monitor | BatchMonitor | None = None,
    every: int = 1,
    batch_size: int = 64,
    seed: int | Sequence[int] = 0,
    hyperparameters: Any = None,
    objective: Objective = classification,
    chunk: int = 64,
    callback: Callable[[History], None] | None = None,
    checkpoints: Checkpoints | None = None,
    mesh: Mesh | None = None,
) -> tuple[TrainState, History]:
    """Train, and log loss, metrics and the monitor's alignment records of θ_0, θ_1, ..., θ_steps:
    steps + 1 rows.

    Row t holds θ_t: its loss and metrics on batch t, its records on the monitored set if t is a
    multiple of ``every``. Steps run in chunks, each one ``lax.scan`` on the device; the host
    fetches and hands on one chunk's rows while the next chunk runs. A diverged run logs NaN and
    goes on. The same seed on the same machine gives the same rows.

    Several models are trained as one vmapped program: seeds of one network, or, with
    ``hyperparameters``, a sweep of them.

    Args:
      model: a flax.nnx module, not changed; ``nnx.update(model, state.model)`` takes over what was
        learned. Or a list of them that differ in their arrays alone: every array of state and
        history then has an axis of models, in the state the first one, in the history the one after
        the steps.
      optimizer: any optax transformation; or, with ``hyperparameters``, a function that makes one
        of them.
      inputs: (n, ...) training inputs, kept on the device.
      labels: (n,) or (n, ...), as the objective wants them.
      steps: number of updates.
      monitor: what to measure, on a fixed set (``monitor``) or on the training batches
        (``batch_monitor``); None measures nothing.
      every: k, to measure θ_0, θ_k, θ_2k, ... only; the steps between cost nothing, and have no
        record.
      batch_size: rows a step; every epoch is a fresh permutation, batches run across its end.
      seed: of the permutations (initial weights come with the model); for several models one each,
        or one for all.
      hyperparameters: a pytree with a leading axis of models, as in ``optimizer=optax.sgd,
        hyperparameters=rates``.
      objective: (outputs, labels) → (scalar loss, {name: scalar metric}).
      chunk: steps between two visits to the host, at most.
      callback: called with each chunk's History, in order. KeyboardInterrupt raised in it or in the
        loop is passed on after the last started chunk has been observed.
      checkpoints: keep the state from time to time, and go on from the newest one kept; the rows
        before it are then not in the History, and not observed again.
      mesh: a jax mesh of one axis. Of one model the batches are split over its devices, and the
        rows of the monitor; several models are themselves split over them. Over several processes,
        which all have to call ``fit`` with the same arguments, the first one alone observes.

    Returns:
      The final state and the History, in memory.

    Raises:
      ValueError: inputs and labels of different n, or not finite; batch_size larger than n; steps,
        every, batch_size or chunk under 1; an objective whose loss is no scalar; a model that
        returns no array; a checkpoint of another run; models of different structure; as many seeds
        or hyperparameters as there are no models; a number of devices that does not divide the
        batch or the models.

    Example:
      >>> import optax
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.data import fashion_mnist
      >>> from jaxalign.models import MLP
      >>> images = fashion_mnist(classes=(2, 4)).train.first(100)
      >>> model = MLP(784, (32, 32), 1, rngs=nnx.Rngs(0))
      >>> watch = ja.monitor(ja.tap(model, "hidden_*"), images.inputs, ja.encode_targets(images.labels))
      >>> state, history = ja.fit(model, optax.adam(1e-3), images.inputs, images.labels, steps=20, monitor=watch)
      >>> history.layers["hidden_2"].area.shape
      (21,)

    Source: ours.
    """
    inputs, labels = jnp.asarray(inputs), jnp.asarray(labels)
    _require_trainable(inputs, labels, steps, every, batch_size, chunk)
    several, models = (
        not isinstance(model, nnx.Module),
        [model] if isinstance(model, nnx.Module) else list(model),
    )
    seeds = np.atleast_1d(seed).tolist()
    _require_fitting(models, seeds, hyperparameters, optimizer, several)
    if isinstance(monitor, BatchMonitor) and monitor.samples != batch_size:
        raise ValueError(
            f"batch_size must be the monitor's {monitor.samples} samples, found {batch_size}"
        )
    same = len(seeds) == 1
    lying = layout(mesh, len(models) if several else None, same, batch_size)
    plan = schedule(len(inputs), batch_size, steps, every, chunk)
    recipe = Recipe(nnx.graphdef(models[0]), optimizer, objective, steps)
    starts = [recipe.start(module, _entry(hyperparameters, i)) for i, module in enumerate(models)]
    # Arrays of our own, each its own: the chunks donate their state, the user's model must keep its
    # arrays, and an optimizer may have kept the parameters themselves.
    state = (
        jax.tree.map(lambda *x: jnp.stack(x), *starts)
        if several
        else jax.tree.map(jnp.copy, starts[0])
    )
    done, settings = (
        0,
        {
            **plan._asdict(),
            "seed": seeds[0] if same else seeds,
            **({"models": len(models)} if several else {}),
        },
    )
    if checkpoints is not None and (kept := checkpoints.newest(state, settings)) is not None:
        state = kept
        done = int(np.max(kept.step))

    blank = _blank_history(
        monitor
    )  # made before the loop: an operation asked for later would wait behind the running chunk
    if done == steps:
        return state, blank
    data = Data(monitor, inputs, labels)
    if several:
        program = of_several(recipe, same_batches=same, hyperparameters=hyperparameters is not None)
    else:
        program = of_one(recipe, lying.rows)
    state, hyperparameters, data = lying.place(state, hyperparameters, data)
    run = compiled(program, lying.mesh, lying.axes)
    observed = callback if lying.first_process else None

    parts: list[History] = []

    def deliver(rows: tuple[Rows, OrderedDict[str, Record]]) -> None:
        part = _on_host(*rows, blank, steps, plan.every)
        parts.append(part)
        if observed is not None:
            observed(part)

    batches = plan.batches_of(seeds, done) if several and not same else plan.batches(seeds[0], done)
    state, running = run(state, next(batches), hyperparameters, data)
    saved = done
    try:
        for indices in batches:
            finished, done = running, done + plan.length
            due = checkpoints is not None and done >= saved + checkpoints.every
            kept = (
                jax.tree.map(jnp.copy, lying.whole(state)) if due else None
            )  # the next chunk takes over its arrays
            state, running = run(
                state, indices, hyperparameters, data
            )  # returns while the device works
            deliver(finished)
            if checkpoints is not None and kept is not None:
                checkpoints.save(
                    done, kept, settings
                )  # its rows are delivered, so none will be missing
                saved = done
    except KeyboardInterrupt:
        deliver(running)
        raise
    deliver(running)
    if checkpoints is not None:
        checkpoints.save(steps, lying.whole(state), settings)
    return state, concatenate(parts)


def _entry(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda x: jnp.asarray(x)[i], tree)


def _blank_history(monitor: Monitor | BatchMonitor | None) -> History:
    """A history without rows."""
    nothing = np.empty(0, np.float32)
    if monitor is None:
        return History(
            nothing,
            nothing,
            nothing,
            {},
            OrderedDict(),
            thresholds=nothing,
            grid=nothing,
            total=0.0,
        )
    thresholds, grid = np.asarray(monitor.reading.thresholds), np.asarray(monitor.reading.grid)
    return History(nothing, nothing, nothing, {}, OrderedDict(), thresholds, grid, monitor.total)


def _on_host(
    rows: Rows, records: OrderedDict[str, Record], blank: History, steps: int, every: int
) -> History:
    """The rows up to the last step, fetched."""
    rows, records = jax.device_get((rows, records))
    all_steps = (
        rows.step if rows.step.ndim == 1 else rows.step[:, 0]
    )  # of several models all are at the same one
    count = min(len(all_steps), steps + 1 - int(all_steps[0]))
    step = np.asarray(all_steps[:count])
    measured = step[::every] if records else step[:0]

    def first(tree, length):
        return jax.tree.map(lambda x: x[:length], tree)

    loss, metrics = first((rows.loss, rows.metrics), count)
    return blank._replace(
        step=step,
        measured=measured,
        loss=loss,
        metrics=metrics,
        layers=first(records, len(measured)),
    )


def _require_trainable(
    inputs: Array, labels: Array, steps: int, every: int, batch_size: int, chunk: int
) -> None:
    for name, value in (
        ("steps", steps),
        ("every", every),
        ("batch_size", batch_size),
        ("chunk", chunk),
    ):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, found {value}")
    if inputs.ndim == 0 or labels.ndim == 0 or len(inputs) != len(labels):
        raise ValueError(
            f"inputs and labels must have as many rows, found shapes {inputs.shape} and {labels.shape}"
        )
    for name, values in (("inputs", inputs), ("labels", labels)):
        require_finite(values, name)
    if batch_size > len(inputs):
        raise ValueError(
            f"batch_size must be at most the {len(inputs)} rows there are, found {batch_size}"
        )


def _require_fitting(
    models: Sequence[nnx.Module],
    seeds: Sequence[int],
    hyperparameters: Any,
    optimizer: Optimizer,
    several: bool,
) -> None:
    if not models:
        raise ValueError("model must be a module or a list of at least one, found an empty list")
    graph, shapes = nnx.graphdef(models[0]), jax.tree.map(jnp.shape, nnx.state(models[0]))
    for i, module in enumerate(models[1:], start=1):
        if nnx.graphdef(module) != graph or jax.tree.map(jnp.shape, nnx.state(module)) != shapes:
            raise ValueError(
                f"models must differ in their arrays alone, but model {i} is built otherwise than model 0"
            )
    if len(seeds) not in (1, len(models)):
        raise ValueError(
            f"seed must be one number, or one for each of the {len(models)} models, found {len(seeds)}"
        )
    made = not isinstance(optimizer, optax.GradientTransformation)
    if made != (hyperparameters is not None):
        raise ValueError(
            "hyperparameters need an optimizer that is a function of them, as in optimizer=lambda rate: optax.sgd(rate)"
            if hyperparameters is not None
            else "optimizer must be an optax transformation; a function that makes one needs hyperparameters"
        )
    if hyperparameters is None:
        return
    lengths = {np.shape(x)[:1] for x in jax.tree.leaves(hyperparameters)}
    if not several or lengths != {(len(models),)}:
        found = ", ".join(str(np.shape(x)) for x in jax.tree.leaves(hyperparameters))
        raise ValueError(
            f"hyperparameters must be arrays of a leading axis of as many as the list of models, found {found}"
        )
