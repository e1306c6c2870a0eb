"""What a network is trained for: objectives ``(outputs, labels) -> (loss, {metric name: value})``."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jax import Array

Objective = Callable[[Any, Array], Any]
"""(outputs, labels) → scalar loss, or (scalar loss, {metric: scalar})."""


def classification(outputs: Array, labels: Array) -> tuple[Array, dict[str, Array]]:
    """Mean cross-entropy and accuracy: of one logit for two classes (binary), of c logits for c
    classes (softmax).

    Args:
      outputs: (n, 1) or (n, c) logits.
      labels: (n,) integers, 0 or 1, or 0...c − 1.

    Returns:
      The loss in nats, and ``{"accuracy": share in [0, 1]}``.

    Raises:
      ValueError: outputs that are not (n, c) for labels (n,).

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxalign.training import classification
      >>> loss, metrics = classification(jnp.array([[2.0], [-1.0]]), jnp.array([1, 1]))
      >>> loss.round(3).item(), metrics["accuracy"].item()
      (0.72..., 0.5)

    Source: binary cross-entropy with logits as in the authors' demo notebook (Imani, Hu, White,
      TMLR 2022).
    """
    if outputs.ndim != 2 or labels.shape != outputs.shape[:1]:
        raise ValueError(
            f"classification needs outputs (n, c) and labels (n,), found {outputs.shape} and {labels.shape}; "
            "give fit an objective of your own for other shapes"
        )
    if outputs.shape[1] == 1:
        logits = outputs[:, 0]
        losses, hits = (
            optax.sigmoid_binary_cross_entropy(logits, labels),
            (logits > 0) == (labels == 1),
        )
    else:
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs, labels)
        hits = jnp.argmax(outputs, axis=1) == labels
    return jnp.mean(losses), {"accuracy": jnp.mean(hits, dtype=losses.dtype)}
