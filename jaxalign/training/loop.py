"""``fit``: an optax training loop in jitted chunks that measures every layer's alignment at every step."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from jax.typing import ArrayLike

from jaxalign._checks import require_finite
from jaxalign.training.checkpoints import Checkpoints
from jaxalign.training.history import History, concatenate
from jaxalign.training.objective import classification
from jaxalign.training.probe import Probe, Record

Objective = Callable[[Any, Array], tuple[Array, dict[str, Array]]]


class TrainState(NamedTuple):
    """Everything an update changes.

    Attributes:
      step: () int32, updates done.
      model: the nnx state, parameters and the rest; ``nnx.update(model, state.model)`` puts it into a module.
      optimizer: the optax state.
    """

    step: Array
    model: nnx.State
    optimizer: optax.OptState


class _Rows(NamedTuple):
    step: Array
    loss: Array
    metrics: dict[str, Array]


def fit(
    model: nnx.Module,
    optimizer: optax.GradientTransformation,
    inputs: ArrayLike,
    labels: ArrayLike,
    *,
    steps: int,
    probe: Probe | None = None,
    every: int = 1,
    batch_size: int = 64,
    seed: int = 0,
    objective: Objective = classification,
    chunk: int = 64,
    observe: Callable[[History], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> tuple[TrainState, History]:
    """Train, and log loss, metrics and the probe's alignment records of θ_0, θ_1, ..., θ_steps: steps + 1 rows.

    Row t holds θ_t: its loss and metrics on batch t, its records on the probe set if t is a multiple of ``every``. Steps
    run in chunks, each one ``lax.scan`` on the device; the host fetches and hands on one chunk's rows while the next chunk
    runs. A diverged run logs NaN and goes on. The same seed on the same machine gives the same rows.

    Args:
      model: a flax.nnx module, not changed; ``nnx.update(model, state.model)`` takes over what was learned.
      optimizer: any optax transformation.
      inputs: (n, ...) training inputs, kept on the device.
      labels: (n,) or (n, ...), as the objective wants them.
      steps: number of updates.
      probe: what to measure; None trains without measuring.
      every: k, to measure θ_0, θ_k, θ_2k, ... only; the steps between cost nothing, and have no record.
      batch_size: rows a step; every epoch is a fresh permutation, batches run across its end.
      seed: of the permutations (initial weights come with the model).
      objective: (outputs, labels) → (scalar loss, {name: scalar metric}).
      chunk: steps between two visits to the host, at most.
      observe: called with each chunk's History, in order. KeyboardInterrupt raised in it or in the loop is passed on
        after the last started chunk has been observed.
      checkpoints: keep the state from time to time, and go on from the newest one kept; the rows before it are then not
        in the History, and not observed again.

    Returns:
      The final state and the History, in memory.

    Raises:
      ValueError: inputs and labels of different n, or not finite; batch_size larger than n; steps, every, batch_size or
        chunk under 1; an objective whose loss is no scalar; a model that returns no array; a checkpoint of another run.

    Example:
      >>> import optax
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.data import fashion_mnist
      >>> from jaxalign.models import MLP
      >>> images = fashion_mnist(classes=(2, 4)).train.first(100)
      >>> model = MLP(784, (32, 32), 1, rngs=nnx.Rngs(0))
      >>> watch = ja.probe(ja.tap(model, "hidden_*"), images.inputs, ja.encode_targets(images.labels))
      >>> state, history = ja.fit(model, optax.adam(1e-3), images.inputs, images.labels, steps=20, probe=watch)
      >>> history.layers["hidden_2"].area.shape
      (21,)

    Source: ours.
    """
    inputs, labels = jnp.asarray(inputs), jnp.asarray(labels)
    _require_trainable(inputs, labels, steps, every, batch_size, chunk)
    every = min(every, steps + 1)
    graph, variables = nnx.split(model)
    start = TrainState(jnp.zeros((), jnp.int32), variables, optimizer.init(nnx.filter_state(variables, nnx.Param)))
    # Arrays of our own, each its own: the chunks donate their state, the user's model must keep its arrays, and an
    # optimizer may have kept the parameters themselves.
    state, done = jax.tree.map(jnp.copy, start), 0
    length = _chunk_length(steps, every, chunk)
    settings = {"steps": steps, "every": every, "length": length, "batch_size": batch_size, "seed": seed, "rows": len(inputs)}
    if checkpoints is not None and (kept := checkpoints.newest(state, settings)) is not None:
        state, done = kept, int(kept.step)
    run = partial(_run_chunk(graph, optimizer, objective, steps), probe=probe, inputs=inputs, labels=labels)

    blank = _blank_history(probe)
    parts: list[History] = []

    def deliver(rows: tuple[_Rows, OrderedDict[str, Record]]) -> None:
        part = _on_host(*rows, blank, steps, every)
        parts.append(part)
        if observe is not None:
            observe(part)

    batches = _batches(len(inputs), batch_size, steps, every, seed, length, done)
    if done == steps:
        return state, blank
    state, running = run(state, next(batches))
    saved = done
    try:
        for indices in batches:
            finished, done = running, done + length
            due = checkpoints is not None and done >= saved + checkpoints.every
            kept = jax.tree.map(jnp.copy, state) if due else None  # the next chunk takes over its arrays
            state, running = run(state, indices)  # returns while the device works
            deliver(finished)
            if checkpoints is not None and kept is not None:
                checkpoints.save(done, kept, settings)  # its rows are delivered, so none will be missing
                saved = done
    except KeyboardInterrupt:
        deliver(running)
        raise
    deliver(running)
    if checkpoints is not None:
        checkpoints.save(steps, state, settings)
    return state, concatenate(parts)


def _run_chunk(graph: nnx.GraphDef, optimizer: optax.GradientTransformation, objective: Objective, steps: int) -> Callable:
    def loss_of(parameters, rest, batch, answers):
        module = nnx.merge(graph, parameters, rest, copy=True)
        outputs = module(batch)
        if not isinstance(outputs, jax.Array):
            raise ValueError(f"model must return one array of outputs, found a {type(outputs).__name__}; wrap it to pick one")
        loss, metrics = objective(outputs, answers)
        if jnp.shape(loss) != ():
            raise ValueError(f"objective must return a scalar loss first, found shape {jnp.shape(loss)}; take its mean")
        return loss, (metrics, nnx.state(module, nnx.Not(nnx.Param)))

    @partial(jax.jit, donate_argnums=(0,))
    def run_chunk(state: TrainState, indices: Array, *, probe, inputs, labels) -> tuple[TrainState, tuple]:
        def one_step(state, rows):
            parameters, rest = nnx.split_state(state.model, nnx.Param, ...)
            (loss, (metrics, new_rest)), gradient = jax.value_and_grad(loss_of, has_aux=True)(
                parameters, rest, inputs[rows], labels[rows]
            )
            updates, new_optimizer = optimizer.update(gradient, state.optimizer, parameters)
            new = TrainState(state.step + 1, nnx.merge_state(optax.apply_updates(parameters, updates), new_rest), new_optimizer)
            # Chunks have one length, so that one program serves all: past the last update the state stands still.
            kept = jax.tree.map(partial(jnp.where, state.step < steps), new, state)
            return kept, _Rows(state.step, loss, metrics)

        def measured_steps(state, indices):
            samples = OrderedDict() if probe is None else probe.sample(state.model)
            state, rows = jax.lax.scan(one_step, state, indices)
            return state, (rows, samples)

        state, (rows, samples) = jax.lax.scan(measured_steps, state, indices)
        records = OrderedDict() if probe is None else jax.vmap(probe.finish)(samples)
        return state, (jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows), records)

    return run_chunk


def _chunk_length(steps: int, every: int, chunk: int) -> int:
    """Steps in each of the chunks of steps + 1 rows: one length for all, a multiple of ``every``."""
    measured = -(-(steps + 1) // every)
    chunks = -(-measured // max(chunk // every, 1))
    return -(-measured // chunks) * every


def _batches(n: int, batch_size: int, steps: int, every: int, seed: int, length: int, done: int) -> Iterator[np.ndarray]:
    """(measured, every, batch_size) row numbers from step ``done`` to ``steps``, a chunk at a time, padded by going on."""
    permutation = lambda epoch: np.random.default_rng((seed, epoch)).permutation(n).astype(np.int32)
    epoch, offset = divmod(done * batch_size, n)
    pool = permutation(epoch)[offset:]
    for _ in range(done, steps + 1, length):
        while len(pool) < length * batch_size:
            epoch += 1
            pool = np.concatenate([pool, permutation(epoch)])
        yield pool[: length * batch_size].reshape(-1, every, batch_size)
        pool = pool[length * batch_size :]


def _blank_history(probe: Probe | None) -> History:
    """A history without rows. Made before the loop: an operation asked for later would wait behind the running chunk."""
    nothing = np.empty(0, np.float32)
    if probe is None:
        return History(nothing, nothing, nothing, {}, OrderedDict(), thresholds=nothing, grid=nothing, total=0.0)
    total = float(jnp.mean(jnp.sum(probe.targets**2, axis=0)))
    thresholds, grid = np.asarray(probe.thresholds), np.asarray(probe.grid)
    return History(nothing, nothing, nothing, {}, OrderedDict(), thresholds, grid, total)


def _on_host(rows: _Rows, records: OrderedDict[str, Record], blank: History, steps: int, every: int) -> History:
    """The rows up to the last step, fetched."""
    rows, records = jax.device_get((rows, records))
    count = min(len(rows.step), steps + 1 - int(rows.step[0]))
    step = rows.step[:count]
    measured = np.asarray(step[::every] if records else step[:0])
    first = lambda tree, length: jax.tree.map(lambda x: x[:length], tree)
    return blank._replace(measured=measured, layers=first(records, len(measured)), **first(rows, count)._asdict())


def _require_trainable(inputs: Array, labels: Array, steps: int, every: int, batch_size: int, chunk: int) -> None:
    for name, value in (("steps", steps), ("every", every), ("batch_size", batch_size), ("chunk", chunk)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, found {value}")
    if inputs.ndim == 0 or labels.ndim == 0 or len(inputs) != len(labels):
        raise ValueError(f"inputs and labels must have as many rows, found shapes {inputs.shape} and {labels.shape}")
    for name, values in (("inputs", inputs), ("labels", labels)):
        require_finite(values, name)
    if batch_size > len(inputs):
        raise ValueError(f"batch_size must be at most the {len(inputs)} rows there are, found {batch_size}")
