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
from jaxalign.studies.learning.design import INPUTS, TRAINED, UNTRAINED, Config
from jaxalign.studies.shared.problems import Problem
from jaxalign.training import fit

BATCH = 50


class Rows(NamedTuple):
    """Rows of norm 1 with a bias column, and their labels ±1 or standardized numbers."""

    features: Float[np.ndarray, "m d"]
    targets: Float[np.ndarray, "m 1"]


def rows_of(config: Config, problem: Problem, representation: str, pool: int) -> Rows:
    """So many rows of a problem, at random, in one representation.

    Raises:
      ModuleNotFoundError: weights are not installed; the message says what to type.
    """
    order = np.random.default_rng(0).permutation(len(problem.inputs))
    seen = problem.take(order[:-pool])
    others = problem.take(order[-pool:])
    if representation == INPUTS:
        features = prepare(others.inputs, reduce="flatten")
    elif representation in (UNTRAINED, TRAINED):
        steps = config.steps if representation == TRAINED else 0
        features = _of_network(config, seen, steps, others.inputs)
    else:
        features = _of_pretrained(representation, others.inputs)
    return Rows(np.asarray(features), others.targets)


def _of_network(config: Config, seen: Problem, steps: int, inputs: np.ndarray) -> jax.Array:
    network = MLP(seen.inputs[0].size, config.widths, 1, bias=True, rngs=nnx.Rngs(0))
    state = nnx.state(network)
    if steps > 0:
        trained, _ = fit(
            network,
            optax.adam(1e-3),
            seen.inputs,
            seen.labels,
            steps=steps,
            objective=seen.objective,
        )
        state = trained.model
    return _last_layer(tap(network, network.post_activations), state, inputs)


def _of_pretrained(name: str, images: np.ndarray) -> np.ndarray:
    published = pretrained(name)
    # Bytes again, which is what published networks preprocess.
    pixels = np.round((images * 0.5 + 0.5) * 255).astype(np.uint8)
    coloured = np.broadcast_to(pixels, (*pixels.shape[:3], 3))
    model: Any = published.model
    layers = tap(model, model.post_activations)
    run = jax.jit(lambda state, x: _last_layer(layers, state, x))
    state = nnx.state(model)
    parts = [
        run(state, published.preprocess(list(coloured[i : i + BATCH])))
        for i in range(0, len(coloured), BATCH)
    ]
    return np.concatenate(parts)


def _last_layer(layers: Tap, state: nnx.State, inputs: np.ndarray) -> jax.Array:
    _, activations = layers(state, inputs)
    return jnp.asarray(prepare(list(activations.values())[-1], reduce="mean"))
