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
    layers: OrderedDict[str, Record]


def fit(
    model: nnx.Module,
    optimizer: optax.GradientTransformation,
    inputs: ArrayLike,
    labels: ArrayLike,
    *,
    steps: int,
    probe: Probe | None = None,
    batch_size: int = 64,
    seed: int = 0,
    objective: Objective = classification,
    chunk: int = 64,
    observe: Callable[[History], None] | None = None,
) -> tuple[TrainState, History]:
    """Train, and log loss, metrics and the probe's alignment records of θ_0, θ_1, ..., θ_steps: steps + 1 rows.

    Row t holds θ_t: its loss and metrics on batch t, its records on the probe set. Steps run in chunks, each one
    ``lax.scan`` on the device; the host fetches and hands on one chunk's rows while the next chunk runs. A diverged
    run logs NaN and goes on. The same seed on the same machine gives the same rows.

    Args:
      model: a flax.nnx module, not changed; ``nnx.update(model, state.model)`` takes over what was learned.
      optimizer: any optax transformation.
      inputs: (n, ...) training inputs, kept on the device.
      labels: (n,) or (n, ...), as the objective wants them.
      steps: number of updates.
      probe: what to measure at each step; None trains without measuring.
      batch_size: rows a step; every epoch is a fresh permutation, batches run across its end.
      seed: of the permutations (initial weights come with the model).
      objective: (outputs, labels) → (scalar loss, {name: scalar metric}).
      chunk: steps between two visits to the host, at most.
      observe: called with each chunk's History, in order. KeyboardInterrupt raised in it or in the loop is passed on
        after the last started chunk has been observed.

    Returns:
      The final state and the History, in memory.

    Raises:
      ValueError: inputs and labels of different n, or not finite; batch_size larger than n; steps, batch_size or chunk
        under 1.

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
    _require_trainable(inputs, labels, steps, batch_size, chunk)
    graph, variables = nnx.split(model)
    start = TrainState(jnp.zeros((), jnp.int32), variables, optimizer.init(nnx.filter_state(variables, nnx.Param)))
    # Arrays of our own, each its own: the chunks donate their state, the user's model must keep its arrays, and an
    # optimizer may have kept the parameters themselves.
    state = jax.tree.map(jnp.copy, start)
    run = partial(_run_chunk(graph, optimizer, objective, steps), probe=probe, inputs=inputs, labels=labels)

    blank = _blank_history(probe)
    parts: list[History] = []

    def deliver(rows: _Rows) -> None:
        part = _on_host(rows, blank, steps)
        parts.append(part)
        if observe is not None:
            observe(part)

    batches = _batches(len(inputs), batch_size, steps, seed, chunk)
    state, running = run(state, next(batches))
    try:
        for indices in batches:
            finished = running
            state, running = run(state, indices)  # returns while the device works
            deliver(finished)
    except KeyboardInterrupt:
        deliver(running)
        raise
    deliver(running)
    return state, concatenate(parts)


def _run_chunk(graph: nnx.GraphDef, optimizer: optax.GradientTransformation, objective: Objective, steps: int) -> Callable:
    def loss_of(parameters, rest, batch, answers):
        module = nnx.merge(graph, parameters, rest, copy=True)
        loss, metrics = objective(module(batch), answers)
        return loss, (metrics, nnx.state(module, nnx.Not(nnx.Param)))

    @partial(jax.jit, donate_argnums=(0,))
    def run_chunk(state: TrainState, indices: Array, *, probe, inputs, labels) -> tuple[TrainState, _Rows]:
        def one_step(state, rows):
            records = OrderedDict() if probe is None else probe(state.model)
            parameters, rest = nnx.split_state(state.model, nnx.Param, ...)
            (loss, (metrics, new_rest)), gradient = jax.value_and_grad(loss_of, has_aux=True)(
                parameters, rest, inputs[rows], labels[rows]
            )
            updates, new_optimizer = optimizer.update(gradient, state.optimizer, parameters)
            new = TrainState(state.step + 1, nnx.merge_state(optax.apply_updates(parameters, updates), new_rest), new_optimizer)
            # Chunks have one length, so that one program serves all: past the last update the state stands still.
            kept = jax.tree.map(partial(jnp.where, state.step < steps), new, state)
            return kept, _Rows(state.step, loss, metrics, records)

        return jax.lax.scan(one_step, state, indices)

    return run_chunk


def _batches(n: int, batch_size: int, steps: int, seed: int, chunk: int) -> Iterator[np.ndarray]:
    """(chunk, batch_size) row numbers for steps + 1 rows, in chunks of one length, the last one padded by going on."""
    chunks = -(-(steps + 1) // chunk)
    length = -(-(steps + 1) // chunks)
    pool, epoch = np.empty(0, np.int32), 0
    for _ in range(chunks):
        while len(pool) < length * batch_size:
            permutation = np.random.default_rng((seed, epoch)).permutation(n).astype(np.int32)
            pool, epoch = np.concatenate([pool, permutation]), epoch + 1
        yield pool[: length * batch_size].reshape(length, batch_size)
        pool = pool[length * batch_size :]


def _blank_history(probe: Probe | None) -> History:
    """A history without rows. Made before the loop: an operation asked for later would wait behind the running chunk."""
    nothing = np.empty(0, np.float32)
    if probe is None:
        return History(nothing, nothing, {}, OrderedDict(), thresholds=nothing, grid=nothing, total=0.0)
    total = float(jnp.mean(jnp.sum(probe.targets**2, axis=0)))
    thresholds, grid = np.asarray(probe.thresholds), np.asarray(probe.grid)
    return History(nothing, nothing, {}, OrderedDict(), thresholds, grid, total)


def _on_host(rows: _Rows, blank: History, steps: int) -> History:
    """The rows up to the last step, fetched."""
    fetched = jax.device_get(rows)
    count = min(len(fetched.step), steps + 1 - int(fetched.step[0]))
    return blank._replace(**jax.tree.map(lambda x: x[:count], fetched)._asdict())


def _require_trainable(inputs: Array, labels: Array, steps: int, batch_size: int, chunk: int) -> None:
    for name, value in (("steps", steps), ("batch_size", batch_size), ("chunk", chunk)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, found {value}")
    if inputs.ndim == 0 or labels.ndim == 0 or len(inputs) != len(labels):
        raise ValueError(f"inputs and labels must have as many rows, found shapes {inputs.shape} and {labels.shape}")
    for name, values in (("inputs", inputs), ("labels", labels)):
        require_finite(values, name)
    if batch_size > len(inputs):
        raise ValueError(f"batch_size must be at most the {len(inputs)} rows there are, found {batch_size}")
