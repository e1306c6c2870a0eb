"""What a network is trained for: objectives ``(outputs, labels) -> (loss, {metric: value})``."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxalign._core.kinds import found
from jaxalign.training._labels import any_numbers, class_numbers, real_numbers, signs

Objective = Callable[[Any, Array], Any]
"""(outputs, labels) → scalar loss, or (scalar loss, {metric: scalar})."""


def classification(outputs: Array, labels: ArrayLike) -> tuple[Array, dict[str, Array]]:
    """Mean cross-entropy and accuracy: of one logit for two classes (binary), of c logits for c
    classes (softmax).

    Args:
      outputs: (n, 1) or (n, c) logits.
      labels: (n,) integers, 0 or 1, or 0...c − 1.

    Returns:
      The loss in nats, and ``{"accuracy": share in [0, 1]}``; NaN where a traced label is not a
      class number.

    Raises:
      ValueError: outputs that are not (n, c) for labels (n,); labels of no class (eager calls).

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxalign.training import classification
      >>> loss, metrics = classification(jnp.array([[2.0], [-1.0]]), jnp.array([1, 1]))
      >>> loss.round(3).item(), metrics["accuracy"].item()
      (0.72..., 0.5)

    Source: binary cross-entropy with logits as in the authors' demo notebook (Imani, Hu, White,
      TMLR 2022).
    """
    given = jnp.asarray(class_numbers(labels, outputs.shape))
    outputs = _at_least_float32(outputs)
    numbers = given.astype(jnp.int32)
    is_class = (numbers.astype(given.dtype) == given) & (numbers >= 0)
    is_class &= numbers < max(outputs.shape[1], 2)
    if outputs.shape[1] == 1:
        logits = outputs[:, 0]
        losses = optax.sigmoid_binary_cross_entropy(logits, numbers)
        hits = (logits > 0) == (numbers == 1)
    else:
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs, numbers)
        hits = jnp.argmax(outputs, axis=1).astype(jnp.int32) == numbers
    return _means(losses, hits, is_class)


def logistic(outputs: Array, labels: ArrayLike) -> tuple[Array, dict[str, Array]]:
    """Mean of Σ_k log(1 + exp(−y_k z_k)) and accuracy: of logits z for labels y = ±1, as
    ``encode_targets`` makes them.

    Args:
      outputs: (n, k) logits.
      labels: (n, k), each −1 or 1; (n,) for k = 1.

    Returns:
      The loss in nats, and ``{"accuracy": share of the signs that are right}``; NaN where a traced
      label is neither −1 nor 1.

    Raises:
      ValueError: shapes that do not fit; labels that are not ±1 (eager calls).

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxalign.training import logistic
      >>> loss, metrics = logistic(jnp.array([[2.0], [-1.0]]), jnp.array([1, 1]))
      >>> loss.round(3).item(), metrics["accuracy"].item()
      (0.72..., 0.5)

    Source: ours; for one output the binary cross-entropy of ``classification``.
    """
    given = jnp.asarray(signs(labels, outputs.shape))
    outputs = _at_least_float32(outputs)
    losses = optax.sigmoid_binary_cross_entropy(outputs, given > 0)
    hits = jnp.mean((outputs > 0) == (given > 0), axis=1)
    return _means(losses.sum(axis=1), hits, (jnp.abs(given) == 1).all(axis=1))


def squared_error(outputs: Array, labels: ArrayLike) -> tuple[Array, dict[str, Array]]:
    """Mean of Σ_k (z_k − y_k)², for numbers y to regress on, and no metric.

    Args:
      outputs: (n, k) predictions z.
      labels: (n, k) numbers y; (n,) for k = 1.

    Returns:
      The loss, and ``{}``.

    Raises:
      ValueError: shapes that do not fit; labels that are not finite (eager calls).

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxalign.training import squared_error
      >>> squared_error(jnp.array([[1.0], [3.0]]), jnp.array([1.0, 1.0]))[0].item()
      2.0

    Source: ours.
    """
    outputs = _at_least_float32(outputs)
    given = jnp.asarray(real_numbers(labels, outputs.shape)).astype(outputs.dtype)
    return jnp.mean(jnp.sum((outputs - given) ** 2, axis=1)), {}


def checked_labels(objective: Objective, labels: Any, outputs: tuple[int, ...]) -> Any:
    """The labels of a batch, or of all data, as the objective takes them.

    Args:
      objective: as ``fit`` takes it, jitted or not. One that is not built in takes any numbers.
      labels: (n,) or (n, ...), in any container.
      outputs: the shape of the model's outputs for them, (n, ...).

    Raises:
      ValueError: values or shapes that a built-in objective does not take; not finite.
      TypeError: text.
    """
    built_in = getattr(objective, "__wrapped__", objective)  # a jitted one wraps it
    if built_in is classification:
        return class_numbers(labels, outputs)
    if built_in is logistic:
        return signs(labels, outputs)
    if built_in is squared_error:
        return real_numbers(labels, outputs)
    return any_numbers(labels)


def _at_least_float32(outputs: Array) -> Array:
    """Outputs of half precision as float32: a mean in bfloat16 has three digits."""
    return outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32))


def _means(losses: Array, hits: Array, known: Array) -> tuple[Array, dict[str, Array]]:
    """The mean loss and the accuracy; NaN with a label that is none, which cannot be refused while
    it is traced.
    """
    loss = jnp.mean(jnp.where(known, losses, jnp.nan))
    accuracy = jnp.mean(jnp.where(known, hits.astype(losses.dtype), jnp.nan))
    return loss, {"accuracy": accuracy}


def loss_and_metrics(
    objective: Objective, outputs: Array, labels: Array
) -> tuple[Array, dict[str, Array]]:
    """What an objective returns, checked: the loss, and its metrics if there are any.

    Raises:
      ValueError: a loss or a metric that is not a scalar, or no real number; a loss of integers,
        which has no derivative.
    """
    result = objective(outputs, labels)
    loss: Any = result
    metrics: Mapping[str, Any] = {}
    if isinstance(result, tuple | list):
        loss, metrics = _pair(result)
    dtype = _real_dtype(loss, "the loss of the objective")
    if jnp.shape(loss) != ():
        raise ValueError(
            f"objective must return a scalar loss first, found shape {jnp.shape(loss)}; "
            "take its mean"
        )
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(
            f"the loss of the objective must be of floating point, found {dtype}, which has no "
            "derivative; return what parameters change smoothly, and counts as metrics"
        )
    for name, value in metrics.items():
        _real_dtype(value, f"metric {name!r} of the objective")
        if jnp.shape(value) != ():
            raise ValueError(
                f"metric {name!r} of the objective must be a scalar, "
                f"found shape {jnp.shape(value)}; take its mean"
            )
    return loss, {name: jnp.asarray(value) for name, value in metrics.items()}


def _real_dtype(value: Any, what: str) -> Any:
    try:
        dtype = None if value is None else jnp.result_type(value)
    except (TypeError, ValueError):
        dtype = None
    if dtype is None:
        raise ValueError(f"{what} must be a number, found {found(value)}")
    if any(jnp.issubdtype(dtype, kind) for kind in (jnp.bool_, jnp.integer, jnp.floating)):
        return dtype
    raise ValueError(f"{what} must be a real number, found {dtype}; take its real part, or abs")


def _pair(result: Any) -> tuple[Any, Mapping[str, Any]]:
    if len(result) != 2 or not isinstance(result[1], Mapping):
        raise ValueError(
            "objective must return a scalar loss, or the pair (loss, {metric: scalar}), "
            f"found a {type(result).__name__} of {len(result)} without such a dict"
        )
    return result[0], result[1]
