"""The reference of transfer: the same network trained on the few points of a target alone."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

BATCH = 64
OPTIMIZER = optax.adam(1e-3)
"""As on the source."""


@partial(jax.jit, static_argnames=("graph", "steps"))
def accuracy_from_scratch(
    graph: Any,
    states: Any,
    inputs: Float[np.ndarray, "s n p"],
    labels: Int[np.ndarray, "s n"],
    test: Float[np.ndarray, "m p"],
    test_labels: Int[np.ndarray, " m"],
    *,
    steps: int,
) -> Float[Array, " s"]:
    """Share of test points of s networks, each trained on points of its own.

    Args:
      graph: of a flax.nnx network with one output.
      states: of the networks, stacked.
      inputs: training points of each network.
      labels: their classes, 0 and 1.
      test: other points, of all networks.
      test_labels: their classes.
      steps: updates, each on a batch drawn at random.
    """
    keys = jax.random.split(jax.random.key(0), len(inputs))

    def one(state: Any, points: Array, classes: Array, key: Array) -> Array:
        trained = _trained(graph, state, points, classes, jax.random.split(key, steps))
        return ((_outputs(graph, trained, jnp.asarray(test)) > 0) == (test_labels == 1)).mean()

    return jax.vmap(one)(states, jnp.asarray(inputs), jnp.asarray(labels, jnp.float32), keys)


def _trained(graph: Any, state: Any, inputs: Array, labels: Array, keys: Array) -> Any:
    """The state after an update for each key."""

    def loss(state: Any, rows: Array) -> Array:
        outputs = _outputs(graph, state, inputs[rows])
        return optax.sigmoid_binary_cross_entropy(outputs, labels[rows]).mean()

    def update(carry: tuple[Any, Any], key: Array) -> tuple[tuple[Any, Any], None]:
        state, memory = carry
        rows = jax.random.randint(key, (BATCH,), 0, len(inputs))
        change, memory = OPTIMIZER.update(jax.grad(loss)(state, rows), memory, state)
        return (optax.apply_updates(state, change), memory), None

    (state, _), _ = jax.lax.scan(update, (state, OPTIMIZER.init(state)), keys)
    return state


def _outputs(graph: Any, state: Any, inputs: Array) -> Array:
    return nnx.merge(graph, state)(inputs)[:, 0]
