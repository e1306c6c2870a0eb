"""What a frozen representation is worth to targets: its alignment with them, and how fast and well
linear heads learn them.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxalign import alignment_area, prepare, spectra

HEAD_RATE = 4.0
"""1/L of the mean log-loss on rows of norm 1, whose Hessian is at most ¼: the same for every
representation.
"""


class Reading(NamedTuple):
    """Of one representation in s networks, for k targets.

    Attributes:
      area: (s, k) area/(‖y‖²√n) on the head's training points, between 0 and 1.
      loss: (s, k) the head's log-loss there, in nats, mean over its steps.
      accuracy: (s, k) share of test points.
    """

    area: np.ndarray
    loss: np.ndarray
    accuracy: np.ndarray


def read(
    activations: Array, test: Array, labels: np.ndarray, test_labels: np.ndarray, steps: int
) -> Reading:
    """Align and train heads on activations (s, n, d) with labels (s, n, k) of 0 and 1, test on (s,
    m, d) with (m, k).
    """
    features, held_out = _prepare(activations), _prepare(test)
    area = (
        jax.vmap(alignment_area)(spectra(features, 2.0 * labels.astype(np.float32) - 1))
        / labels.shape[1] ** 1.5
    )
    loss, accuracy = _heads(
        features, jnp.asarray(labels, jnp.float32), held_out, test_labels, steps
    )
    return Reading(np.asarray(area), np.asarray(loss), np.asarray(accuracy))


def train_head(features: Array, labels: Array, steps: int) -> tuple[Array, Array]:
    """The weights (d, k) of k linear heads after gradient descent from 0, and each one's mean
    log-loss over its steps (k,).
    """

    def losses(weights: Array) -> tuple[Array, Array]:
        each = optax.sigmoid_binary_cross_entropy(features @ weights, labels).mean(axis=0)
        return each.sum(), each

    def update(weights: Array, _: None) -> tuple[Array, Array]:
        slope, each = jax.grad(losses, has_aux=True)(weights)
        return weights - HEAD_RATE * slope, each

    weights, trace = jax.lax.scan(
        update, jnp.zeros((features.shape[1], labels.shape[1]), features.dtype), None, length=steps
    )
    return weights, trace.mean(axis=0)


@jax.jit
def _prepare(activations: Array) -> Array:
    return jax.vmap(prepare)(activations)


@partial(jax.jit, static_argnames="steps")
def _heads(
    features: Array, labels: Array, test: Array, test_labels: Array, steps: int
) -> tuple[Array, Array]:
    weights, loss = jax.vmap(partial(train_head, steps=steps))(features, labels)
    return loss, ((test @ weights > 0) == (test_labels == 1)).mean(axis=1)
