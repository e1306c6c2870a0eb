"""``fit``: an optax training loop in jitted chunks that measures every layer at every step."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.sharding import Mesh
from jax.typing import ArrayLike

from jaxalign._core.kinds import as_count
from jaxalign._core.mesh import Axes, require_no_trace, require_one_place
from jaxalign.capture._networks import Split
from jaxalign.monitoring import BatchMonitor, Monitor
from jaxalign.runs import History
from jaxalign.training._agreement import agreed_source, asked_for, require_one_run
from jaxalign.training._batches import checked_reading
from jaxalign.training._check import Models, checked_models, checked_monitors, require_parts
from jaxalign.training._checkpoints import Checkpoints
from jaxalign.training._chunk import Run, compiled, of_one, of_several
from jaxalign.training._data import Answers, checked_source
from jaxalign.training._drive import Callback, Delivery, Fetch, drive
from jaxalign.training._fingerprint import fingerprint
from jaxalign.training._layout import DATA_AXIS, Layout, layout
from jaxalign.training._objective import Objective, classification
from jaxalign.training._optimizer import Optimizer
from jaxalign.training._process_local import OWN_ROWS, ProcessLocal
from jaxalign.training._processes import in_step
from jaxalign.training._program import Program
from jaxalign.training._saver import Saver
from jaxalign.training._schedule import Schedule, schedule
from jaxalign.training._source import Source
from jaxalign.training._state import Data, Monitors, Recipe, TrainState

GivenArrays = ArrayLike | tuple[ArrayLike, ArrayLike] | Mapping[str, ArrayLike]
"""Inputs, inputs and labels, or both by ``keys``."""


def fit(
    model: Any,
    optimizer: Optimizer,
    data: GivenArrays | Iterable[Any] | ProcessLocal,
    labels: ArrayLike | None = None,
    *,
    steps: int,
    monitor: Monitor | BatchMonitor | Mapping[str, Monitor | BatchMonitor] | None = None,
    every: int = 1,
    keys: tuple[str, str] = ("image", "label"),
    batch_size: int | None = None,
    seed: int | Sequence[int] = 0,
    hyperparameters: Any = None,
    objective: Objective = classification,
    call: Callable[..., Any] | None = None,
    chunk: int = 64,
    chunk_bytes: int = 256_000_000,
    callback: Callback | None = None,
    keep_history: bool = True,
    checkpoints: Checkpoints | None = None,
    mesh: Mesh | None = None,
    data_axis: Axes | None = DATA_AXIS,
) -> tuple[TrainState, History]:
    """Train, and log loss, metrics and measures of θ_0, θ_1, ..., θ_steps: steps + 1 rows.

    Row t holds θ_t: its loss and metrics on batch t, its measures if t is a multiple of ``every``.
    Steps run in chunks, each one ``lax.scan`` on the device; the host fetches one chunk's rows
    while the next chunk runs. A diverged run logs NaN and goes on. The same seed on the same
    machine gives the same rows.

    Several models are trained as one vmapped program: seeds of one network, or, with
    ``hyperparameters``, a sweep of them.

    Args:
      model: what ``tap`` taps, not changed: a flax.nnx module; (flax.linen module, variables); an
        equinox module, or (module, State); a Keras model on JAX, which runs in training mode. Or a
        list of these that differ in their arrays alone: every array of state and history then has
        an axis of models, in the state the first one, in the history the one after the steps.
      optimizer: anything with ``init`` and ``update``, as optax has it; it is given ``value``,
        ``grad``, ``value_fn``, ``obj_fn`` and ``grad_fn`` if it takes them. With
        ``hyperparameters``, a function that makes one of them.
      data: (n, ...) training inputs, or the pair (inputs, labels), or a dict of both, kept on the
        device, or split over those of the mesh. Or a stream, for what is larger than a device or a
        host: an iterable of batches, each a pair or a dict, as grain's loaders give them. Every
        batch has the rows, shapes and dtypes of the first one; one with fewer rows is dropped, and
        a warning counts them. A stream of exactly ``steps`` batches suffices: the last row then has
        its loss on the last batch, a second time. One that ends early, or a batch that is not like
        the others, ends the run with an error; what was trained until then is delivered and saved.
        Over several processes each of them has all of the arrays, or reads whole batches; where
        each reads rows of its own, pass ``training.ProcessLocal`` of the stream.
      labels: as the objective wants them, by default (n,) or (n, 1) class numbers: 0 or 1 for one
        output, 0...c − 1 for c outputs.
      steps: number of updates.
      keys: the names of inputs and labels in data or batches that are dicts.
      monitor: what to measure, on a fixed set (``monitor``) or on the training batches
        (``batch_monitor``); or a dict of them, as {"train": ..., "held_out": ...}, whose layers are
        then logged as "train/LAYER". None measures nothing.
      every: k, to measure θ_0, θ_k, θ_2k, ... only; the steps between cost nothing, and are not
        measured.
      batch_size: rows per step, by default 64 of arrays; a stream brings its own. Every epoch of
        arrays is a fresh permutation, batches run across its end; a stream has one order.
      seed: of the permutations (initial weights come with the model); for several models one each,
        or one for all; a stream is the same for all.
      hyperparameters: a pytree with a leading axis of models, as in ``optimizer=optax.sgd,
        hyperparameters=rates``.
      objective: (outputs, labels) → scalar loss, or (scalar loss, {name: scalar metric}); by
        default ``classification``. ``logistic`` is for labels ±1, ``squared_error`` for regression.
      call: how the model is called in training: (model, batch) → outputs, as in
        ``call=lambda module, x: module(x, train=True)``; with an equinox State (model, batch,
        State) → (outputs, State). By default as the framework does, an equinox model under
        ``jax.vmap``. Random keys are new at each step: flax.linen's streams are made of ``seed``
        and the step; an equinox model, or ``call``, gets them if it has an argument ``key``, the
        model one for each sample.
      chunk: steps between two visits to the host, at most.
      chunk_bytes: what a chunk of a stream may hold in one process; two are in memory, one of them
        read while the device works on the other. Where ``every`` steps are more than that, they are
        several chunks.
      callback: called with each chunk's History, in order. If it returns True, the run ends with
        the chunk that is running. KeyboardInterrupt raised in it or in the loop is passed on after
        the last started chunk was delivered.
      keep_history: False keeps no rows in memory: a long run goes to the callback alone, as
        ``RunWriter(...).write``, and the History that is returned has no rows.
      checkpoints: save the state from time to time, and resume from the newest checkpoint that is
        there. It has to be of the same run, except for ``steps``, which may be more. The rows
        before it are then not in the History, and not delivered again. A stream goes on by its
        iterator's ``get_state`` and ``set_state``, as grain's have, or is read again up to there.
      mesh: a jax mesh; by default the one that the model's arrays were split over, or the one in
        use (``jax.set_mesh``). Arrays of the model keep the shardings they came with. One on a
        single device is split as it is annotated (``nnx.with_partitioning``), and without an
        annotation it is put on every device. The optimizer's state is split as its parameters. All
        axes are automatic; a model that needs explicit ones can use ``jax.sharding.explicit_axes``.
        Over several processes, which all have to call ``fit`` with the same arguments, and the same
        data unless they are ``training.ProcessLocal``, the first one alone calls back. What fails
        in one of them raises in all.
      data_axis: the axis of the mesh over which batches and the rows of monitors go, or several
        models; of several axes, as ("replica", "data"), a tuple. A mesh of a single axis needs no
        name. None leaves them whole.

    Returns:
      The final state and the History, in memory unless ``keep_history`` is False.

    Raises:
      ValueError: inputs and labels of different n, or not finite; labels that a built-in objective
        does not take, or that a batch_monitor does not encode; a stream that ends early, whose
        batches differ, or, with checkpoints, that can be read only once; batch_size larger than n;
        steps, every, batch_size or chunk below 1; an objective whose loss is not a real scalar; a
        model that returns no array, or without parameters of floating point; a measure that fails,
        returns no array or has the name of a metric; a checkpoint of another run; models of
        different structure or dtypes; another number of seeds or hyperparameters than models, or
        hyperparameters beyond their dtype in a program; a mesh
        without the data axis, or whose devices along it do not divide the batch, the rows of a
        monitor or the models; arrays of the model on other devices than the mesh, or without one on
        other devices than the data; other arguments or an error in another process;
        ``keep_history=False`` without a callback.
      TypeError: another kind of argument: a function or a linen module alone for the model,
        ``steps`` that is not a whole number, a monitor that is none; a call inside jit, vmap or
        grad.

    Example:
      >>> import numpy as np
      >>> import optax
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.data import fashion_mnist
      >>> from jaxalign.models import MLP
      >>> images = fashion_mnist(classes=(2, 4)).train.first(100)
      >>> model = MLP(784, (32, 32), 1, rngs=nnx.Rngs(0))
      >>> layers = ja.tap(model, "hidden_*")
      >>> monitor = ja.monitor(layers, images.inputs, ja.encode_targets(images.labels))
      >>> data = images.inputs, images.labels
      >>> state, history = ja.fit(model, optax.adam(1e-3), data, steps=20, monitor=monitor)
      >>> history.layers["hidden_2"]["area"].shape
      (21,)
      >>> parts = zip(np.split(images.inputs, 5), np.split(images.labels, 5))  # or a grain loader
      >>> ja.fit(model, optax.adam(1e-3), parts, steps=5)[1].loss.shape
      (6,)

    Source: ours.
    """
    # 1. Check what is asked for, before anything is computed.
    require_no_trace("fit")
    steps = as_count(steps, "steps")
    every = as_count(every, "every")
    chunk = as_count(chunk, "chunk")
    batch_size = batch_size if batch_size is None else as_count(batch_size, "batch_size")
    require_parts(objective, callback, checkpoints, keep_history=keep_history)
    models = checked_models(model, call, optimizer, seed, hyperparameters)
    place = layout(mesh, data_axis, models.states[0], models.number, models.same_batches)
    reading = checked_reading(keys, chunk_bytes, place.processes, resumable=checkpoints is not None)
    make = partial(checked_source, data, labels, batch_size, models.seeds, reading)
    source = agreed_source(make, place.processes)
    asked = {"steps": steps, "every": every, "chunk": chunk, **reading.settings}
    asked["checkpoints"] = checkpoints and checkpoints.every
    monitors = _agreed_monitors(monitor, models, source, place, asked)

    # Before they are placed: a checkpoint is known by the values of all models.
    hyperparameters = models.hyperparameters
    with place.active():
        models = models.placed(place)
        source, most_steps = _with_answers(source, objective, models, monitors, place)
        plan = schedule(steps, every, chunk, most_steps)
        known = _known_by(source, place, every, min(chunk, most_steps or chunk))
        deliver = Delivery(Fetch(monitors, plan), callback, place, keep_history=keep_history)
        job = _Job(models, optimizer, objective, hyperparameters, monitors, source, place, plan)
        state = _trained(job, known | models.settings, checkpoints, deliver)
        return place.as_given(state), deliver.history()


def _agreed_monitors(
    monitor: Any, models: Models, source: Source, place: Layout, asked: dict[str, Any]
) -> Monitors:
    """The monitors, where all processes are asked for the same run."""
    together = place.processes.together
    with in_step(together) as notes:
        monitors = checked_monitors(monitor, source.batch_size)
        place.require_divides(source.batch_size, source.parts)
        if together:
            notes.own = asked_for(models, monitors, asked | place.settings)
    require_one_run(notes.everywhere)
    return monitors


def _known_by(source: Source, place: Layout, every: int, chunk: int) -> dict[str, Any]:
    """The settings that a checkpoint is known by."""
    own_rows = len(place.processes.rows) if source.parts > 1 else 1
    return {
        "batch_size": source.batch_size,
        "every": every,
        "chunk": chunk,
        OWN_ROWS: own_rows,
    }


def _with_answers(
    source: Source, objective: Objective, models: Models, monitors: Monitors, place: Layout
) -> tuple[Source, int | None]:
    """The source with labels as the objective takes them, and how many batches a block holds."""
    first = Split(models.network, models.states[0])
    with in_step(place.processes.together):
        checked = source.checked(Answers(objective, first, source.batch_inputs, monitors))
        return checked, checked.most_steps


class _Job(NamedTuple):
    """What a run is asked for, checked: what to train and how, on what, measured how, and where."""

    models: Models
    optimizer: Optimizer
    objective: Objective
    hyperparameters: Any
    monitors: Monitors
    source: Source
    place: Layout
    plan: Schedule


def _trained(
    job: _Job, settings: dict[str, Any], checkpoints: Checkpoints | None, deliver: Delivery
) -> TrainState:
    """The state after the last step."""
    models, source, place, plan = job.models, job.source, job.place, job.plan

    # 2. Put the data where they belong: what devices do not divide is refused here.
    data = Data(job.monitors, *source.arrays, jnp.int32(plan.steps))
    if place.mesh is None:
        require_one_place((models.states, data))
    placed = place.place(data)

    # 3. Begin at step 0, or where a checkpoint was saved.
    recipe = models.recipe(job.optimizer, job.objective)
    start = models.start(recipe, place)
    batch = source.batch_inputs, source.batch_labels
    identify = partial(fingerprint, settings, recipe, start, job.hyperparameters, data, batch)
    with Saver(checkpoints, identify, plan, place) as saver:
        state, step = saver.resume(start)
        if step == plan.steps:
            return state

        # 4. Compile a chunk, and run it until all steps are done.
        per_model = models.per_model(placed.monitors, start, place)
        shardings = place.shardings_of(start)
        run = compiled(_chunk_of(recipe, models, place, shardings), place, shardings)
        # A run that was resumed needs the memory of its start.
        del start, identify
        program = Program(run, per_model, placed, plan)
        with closing(source.blocks(plan, step, saver.position)) as blocks:
            put = partial(place.place_block, batch_size=source.batch_size)
            return drive(program, state, map(put, blocks), plan, saver, deliver)


def _chunk_of(recipe: Recipe, models: Models, place: Layout, shardings: TrainState | None) -> Run:
    """The program of a chunk, of one model or of several."""
    if models.several:
        has_own = models.hyperparameters is not None
        same = models.same_batches
        return of_several(recipe, place.take, same_batches=same, hyperparameters=has_own)
    return of_one(recipe, place.take, place.rows, shardings)
