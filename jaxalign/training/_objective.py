"""What a network is trained for: objectives ``(outputs, labels) -> (loss, {metric: value})``."""

from collections.abc import Callable, Mapping
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
            "classification needs outputs (n, c) and labels (n,), "
            f"found {outputs.shape} and {labels.shape}; "
            "give fit an objective of your own for other shapes"
        )
    if outputs.shape[1] == 1:
        logits = outputs[:, 0]
        losses = optax.sigmoid_binary_cross_entropy(logits, labels)
        hits = (logits > 0) == (labels == 1)
    else:
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs, labels)
        hits = jnp.argmax(outputs, axis=1) == labels
    return jnp.mean(losses), {"accuracy": jnp.mean(hits, dtype=losses.dtype)}


def loss_and_metrics(
    objective: Objective, outputs: Array, labels: Array
) -> tuple[Array, dict[str, Array]]:
    """What an objective returns, checked: the loss, and its metrics if there are any.

    Raises:
      ValueError: a loss or a metric that is no scalar.
    """
    result = objective(outputs, labels)
    loss: Any = result
    metrics: Mapping[str, Any] = {}
    if isinstance(result, tuple | list):
        loss, metrics = _pair(result)
    if jnp.shape(loss) != ():
        raise ValueError(
            f"objective must return a scalar loss first, found shape {jnp.shape(loss)}; "
            "take its mean"
        )
    for name, value in metrics.items():
        if jnp.shape(value) != ():
            raise ValueError(
                f"metric {name!r} of the objective must be a scalar, "
                f"found shape {jnp.shape(value)}; take its mean"
            )
    return loss, {name: jnp.asarray(value) for name, value in metrics.items()}


def _pair(result: Any) -> tuple[Any, Mapping[str, Any]]:
    if len(result) != 2 or not isinstance(result[1], Mapping):
        raise ValueError(
            "objective must return a scalar loss, or the pair (loss, {metric: scalar}), "
            f"found a {type(result).__name__} of {len(result)} without such a dict"
        )
    return result[0], result[1]
