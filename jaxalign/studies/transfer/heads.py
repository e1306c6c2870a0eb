"""The worth of a frozen representation for a target: its alignment, and what linear heads learn."""

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
    """Of one representation in s networks.

    Attributes:
      area: area/(‖y‖²√n) on the head's training points, between 0 and 1.
      loss: the head's log-loss there, in nats, mean over its steps.
      accuracy: share of test points.
    """

    area: Float[np.ndarray, " s"]
    loss: Float[np.ndarray, " s"]
    accuracy: Float[np.ndarray, " s"]


def read(
    activations: Float[Array, "s n d"],
    test: Float[Array, "s m d"],
    labels: Int[np.ndarray, "s n"],
    test_labels: Int[np.ndarray, " m"],
    steps: int,
) -> Reading:
    """Align and train heads on activations with labels 0 and 1, and test them on other points."""
    features = _prepare(activations)
    targets = 2.0 * labels[..., None].astype(np.float32) - 1
    # Of labels ±1, ‖y‖² is n.
    area = jax.vmap(alignment_area)(spectra(features, targets))[:, 0] / labels.shape[1] ** 1.5
    loss, accuracy = _heads(
        features, jnp.asarray(labels, jnp.float32), _prepare(test), test_labels, steps
    )
    return Reading(np.asarray(area), np.asarray(loss), np.asarray(accuracy))


def train_head(
    features: Float[Array, "n d"], labels: Float[Array, " n"], steps: int
) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    """Gradient descent from 0 on a linear head: its weights, and its mean log-loss."""

    def loss(weights: Array) -> Array:
        return optax.sigmoid_binary_cross_entropy(features @ weights, labels).mean()

    def update(weights: Array, _: None) -> tuple[Array, Array]:
        value, slope = jax.value_and_grad(loss)(weights)
        return weights - HEAD_RATE * slope, value

    start = jnp.zeros(features.shape[1], features.dtype)
    weights, trace = jax.lax.scan(update, start, None, length=steps)
    return weights, trace.mean()


@jax.jit
def _prepare(activations: Array) -> Array:
    return jnp.asarray(jax.vmap(partial(prepare, reduce="flatten"))(activations))


@partial(jax.jit, static_argnames="steps")
def _heads(
    features: Array, labels: Array, test: Array, test_labels: Array, steps: int
) -> tuple[Array, Array]:
    weights, loss = jax.vmap(partial(train_head, steps=steps))(features, labels)
    outputs = jnp.einsum("smd,sd->sm", test, weights)
    return loss, ((outputs > 0) == (test_labels == 1)).mean(axis=1)
