"""The representations of rows that no network was trained on."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Float

from jaxalign._features import prepare
from jaxalign.capture import Tap, tap
from jaxalign.models import MLP
from jaxalign.models.weights import pretrained
from jaxalign.studies.framework.study import Cell
from jaxalign.studies.learning.design import FASHION, PIXELS, TRAINED, UNTRAINED, Config
from jaxalign.studies.shared.problems import Problem, digits_parity, fashion_groups
from jaxalign.training import fit

LONG_SLEEVES = (2, 4, 6)
OTHERS = (0, 3)
DIGITS_THERE_ARE = 1797
BATCH = 50


class Rows(NamedTuple):
    """Rows of norm 1 with a bias column, and their labels ±1."""

    features: Float[np.ndarray, "m d"]
    targets: Float[np.ndarray, "m 1"]


def rows_of(config: Config, cell: Cell) -> Rows:
    """The pool of a task's rows in one representation.

    Raises:
      ModuleNotFoundError: weights are not installed; the message says what to type.
    """
    problem = _problem(str(cell["task"]))
    order = np.random.default_rng(0).permutation(len(problem.inputs))
    seen = order[: -config.pool]
    pool = order[-config.pool :]
    inputs = problem.inputs[pool]
    representation = cell["representation"]
    if representation == PIXELS:
        features = prepare(inputs, reduce="flatten")
    elif representation in (UNTRAINED, TRAINED):
        training = problem._replace(inputs=problem.inputs[seen], labels=problem.labels[seen])
        steps = config.steps if representation == TRAINED else 0
        features = _of_network(config, training, steps, inputs)
    else:
        features = _of_pretrained(str(representation), inputs)
    return Rows(np.asarray(features), problem.targets[pool])


def _problem(task: str) -> Problem:
    if task == FASHION:
        return fashion_groups(LONG_SLEEVES, OTHERS)
    return digits_parity(DIGITS_THERE_ARE)


def _of_network(config: Config, training: Problem, steps: int, inputs: np.ndarray) -> jax.Array:
    network = MLP(training.inputs[0].size, config.widths, 1, bias=True, rngs=nnx.Rngs(0))
    state = nnx.state(network)
    if steps > 0:
        optimizer = optax.adam(1e-3)
        state = fit(network, optimizer, training.inputs, training.labels, steps=steps)[0].model
    return _last_layer(tap(network, network.post_activations), state, inputs)


def _of_pretrained(name: str, images: np.ndarray) -> np.ndarray:
    published = pretrained(name)
    # Bytes again, which is what published networks preprocess.
    grey = np.round((images * 0.5 + 0.5) * 255).astype(np.uint8)
    model: Any = published.model
    layers = tap(model, model.post_activations)
    run = jax.jit(lambda state, x: _last_layer(layers, state, x))
    state = nnx.state(model)
    parts = [
        run(state, published.preprocess(list(np.repeat(grey[i : i + BATCH], 3, axis=-1))))
        for i in range(0, len(grey), BATCH)
    ]
    return np.concatenate(parts)


def _last_layer(layers: Tap, state: nnx.State, inputs: np.ndarray) -> jax.Array:
    _, activations = layers(state, inputs)
    return jnp.asarray(prepare(list(activations.values())[-1], reduce="mean"))
