"""The worth of a frozen representation for targets: its alignment, and what linear heads learn."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, Int

from jaxalign._features import prepare
from jaxalign._spectrum.batched import spectra
from jaxalign.alignment import alignment_area

HEAD_RATE = 4.0
"""1/L of the mean log-loss on rows of norm 1, whose Hessian is at most ¼: the same for every
representation.
"""


class Reading(NamedTuple):
    """Of one representation in s networks, for k targets.

    Attributes:
      area: area/(‖y‖²√n) on the head's training points, between 0 and 1.
      loss: the head's log-loss there, in nats, mean over its steps.
      accuracy: share of test points.
    """

    area: Float[np.ndarray, "s k"]
    loss: Float[np.ndarray, "s k"]
    accuracy: Float[np.ndarray, "s k"]


def read(
    activations: Float[Array, "s n d"],
    test: Float[Array, "s m d"],
    labels: Int[np.ndarray, "s n k"],
    test_labels: Int[np.ndarray, "m k"],
    steps: int,
) -> Reading:
    """Align and train heads on activations with labels 0 and 1, and test them on other points."""
    features = _prepare(activations)
    targets = 2.0 * labels.astype(np.float32) - 1
    # Of labels ±1, ‖y‖² is n.
    area = jax.vmap(alignment_area)(spectra(features, targets)) / labels.shape[1] ** 1.5
    loss, accuracy = _heads(
        features, jnp.asarray(labels, jnp.float32), _prepare(test), test_labels, steps
    )
    return Reading(np.asarray(area), np.asarray(loss), np.asarray(accuracy))


def train_head(
    features: Float[Array, "n d"], labels: Float[Array, "n k"], steps: int
) -> tuple[Float[Array, "d k"], Float[Array, " k"]]:
    """Gradient descent from 0 on k linear heads: their weights, and each one's mean log-loss."""

    def losses(weights: Array) -> tuple[Array, Array]:
        each = optax.sigmoid_binary_cross_entropy(features @ weights, labels).mean(axis=0)
        # Heads share no weights, so the gradient of the sum is that of each.
        return each.sum(), each

    def update(weights: Array, _: None) -> tuple[Array, Array]:
        slope, each = jax.grad(losses, has_aux=True)(weights)
        return weights - HEAD_RATE * slope, each

    start = jnp.zeros((features.shape[1], labels.shape[1]), features.dtype)
    weights, trace = jax.lax.scan(update, start, None, length=steps)
    return weights, trace.mean(axis=0)


@jax.jit
def _prepare(activations: Array) -> Array:
    return jnp.asarray(jax.vmap(partial(prepare, reduce="flatten"))(activations))


@partial(jax.jit, static_argnames="steps")
def _heads(
    features: Array, labels: Array, test: Array, test_labels: Array, steps: int
) -> tuple[Array, Array]:
    weights, loss = jax.vmap(partial(train_head, steps=steps))(features, labels)
    return loss, ((test @ weights > 0) == (test_labels == 1)).mean(axis=1)
