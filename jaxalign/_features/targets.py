"""From labels to the target matrix Y (n, k)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from jaxalign._core.checks import as_real_floats, is_concrete, require_finite


def encode_targets(labels: ArrayLike, *, classes: Sequence | None = None) -> Float[Array, "n k"]:
    """The target matrix Y: one ±1 column for two classes, else one ±1 column per class (one against
    the rest).

    Args:
      labels: (n,) class labels (integers, booleans or, outside jit, strings), or real regression
        targets (n,) or (n, k), which are not changed; (n,) become one column.
      classes: all possible label values, in the order of the columns; by default those in
        ``labels``, ascending. Required inside ``jit``, and for batches that may miss a class. With
        two classes the second is +1.

    Returns:
      Y, (n, k), float32 (float64 for float64 targets).

    Raises:
      ValueError: labels empty, of the wrong rank, of one class only, not among ``classes``, traced
        without ``classes``, or not finite (eager calls).

    Example:
      >>> import jaxalign as ja
      >>> ja.encode_targets([0, 1, 1]).tolist()
      [[-1.0], [1.0], [1.0]]
      >>> ja.encode_targets(["cat", "dog", "emu"]).tolist()
      [[1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]

    Source: ±1 labels as in Imani, Hu, White (TMLR 2022); one-vs-rest columns are ours.
    """
    if not isinstance(labels, jax.Array | np.ndarray):
        labels = np.asarray(labels)
    if labels.size == 0:
        raise ValueError(f"labels must not be empty, found shape {labels.shape}")
    if jnp.issubdtype(labels.dtype, jnp.inexact):
        return _real_targets(labels)
    if labels.ndim != 1:
        raise ValueError(
            "labels must be class labels of shape (n,), "
            f"found {labels.dtype} of shape {labels.shape}; "
            "pass labels.argmax(axis=1) for one-hot rows, or floats for regression targets"
        )
    if classes is None:
        if not is_concrete(labels):
            raise ValueError(
                "labels are traced, so their classes cannot be read; "
                "pass classes=(0, 1, ...) or encode outside jit"
            )
        classes = np.unique(np.asarray(labels)).tolist()
    if len(classes) < 2:
        raise ValueError(f"labels must hold at least two classes, found only {list(classes)}")
    signs = jnp.where(_memberships(labels, classes), 1.0, -1.0).astype(jnp.float32)
    if len(classes) == 2:
        return signs[:, 1:]
    return signs


def _memberships(labels: Array | np.ndarray, classes: Sequence) -> Bool[Array, "n c"]:
    """Which label is which class; a label of no class is refused where it can be read."""
    if not is_concrete(labels):
        return labels[:, None] == jnp.asarray(classes)
    # Strings are compared by numpy: jax has none.
    values = np.asarray(labels)
    unknown = np.setdiff1d(values, np.asarray(classes))
    if unknown.size:
        raise ValueError(f"labels must be among classes={list(classes)}, found {unknown.tolist()}")
    return jnp.asarray(values[:, None] == np.asarray(classes))


def _real_targets(labels: ArrayLike) -> Float[Array, "n k"]:
    y = as_real_floats(labels, "labels")
    if y.ndim not in (1, 2):
        raise ValueError(f"real-valued labels must have shape (n,) or (n, k), found {y.shape}")
    require_finite(y, "labels")
    if y.ndim == 1:
        return y[:, None]
    return y
