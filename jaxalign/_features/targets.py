"""From labels to the target matrix Y (n, k)."""

from collections import Counter
from collections.abc import Sequence
from reprlib import repr as short
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import as_real_floats, require_finite
from jaxalign._core.float64 import exactly, of_jax_or_numpy
from jaxalign._core.known import is_concrete
from jaxalign._core.mesh import put_by_rows
from jaxalign._features.labels import are_real, as_class_values, as_labels


def encode_targets(
    labels: ArrayLike, *, classes: Sequence | None = None
) -> Float[Array | np.ndarray, "n k"]:
    """The target matrix Y: one ±1 column for two classes, else one ±1 column per class (one against
    the rest).

    Args:
      labels: (n,) or (n, 1) class labels (integers, booleans, text or bytes), or real regression
        targets (n,) or (n, k), which are not changed; (n,) become one column. Lists and arrays of
        numpy, jax, pandas, polars or torch. Floats are class labels if ``classes`` are given;
        categoricals always are.
      classes: all possible label values, in the order of the columns; by default those in
        ``labels``, ascending. Required inside ``jit``, and for batches that may miss a class. With
        two classes the second is +1.

    Returns:
      Y, (n, k), float32 (float64 for float64 targets, of numpy where x64 is off). The row of a
      traced label that is not among ``classes`` is NaN.

    Raises:
      ValueError: labels empty, with missing values, of the wrong shape, of one class only, not
        among ``classes``, traced without ``classes``, or not finite (eager calls); classes that are
        repeated, or that labels of this dtype cannot hold.
      TypeError: labels or classes of several kinds, as [0, 1, "a"], or that are not a list or an
        array.

    Example:
      >>> import jaxalign as ja
      >>> ja.encode_targets([0, 1, 1]).tolist()
      [[-1.0], [1.0], [1.0]]
      >>> ja.encode_targets(["cat", "dog", "emu"]).tolist()
      [[1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]

    Source: ±1 labels as in Imani, Hu, White (TMLR 2022); one-vs-rest columns are ours.
    """
    values = as_labels(labels)
    if classes is None and are_real(values):
        return _real_targets(values)
    signs = _signs_of(values, classes)
    if signs.shape[1] == 2:
        return signs[:, 1:]
    return signs


def class_indicators(labels: ArrayLike, classes: Sequence | None = None) -> Float[Array, "n c"]:
    """1 in the column of a row's class, 0 elsewhere; classes as in ``encode_targets``."""
    values = as_labels(labels)
    if classes is None and are_real(values):
        raise ValueError(
            f"labels must be classes, found {values.dtype}; pass integers or text, or classes="
        )
    return (1 + _signs_of(values, classes)) / 2


def _signs_of(labels: Array | np.ndarray, classes: Sequence | None) -> Float[Array, "n c"]:
    """One ±1 column per class, of what ``as_labels`` returned."""
    values = as_class_values(labels)
    if is_concrete(values):
        order = sorted(set(values.tolist())) if classes is None else _class_list(classes)
        return put_by_rows(_signs(values, _at_least_two(order)), labels)
    if classes is None:
        raise ValueError(
            "labels are traced, so their classes cannot be read; "
            "pass classes=(0, 1, ...) or encode outside jit"
        )
    return _traced_signs(values, _at_least_two(_class_list(classes)))


def _class_list(classes: Any) -> list:
    """``classes`` as values of Python, different ones of one kind."""
    if isinstance(classes, int):
        raise TypeError(
            f"classes must be the values of all classes, found {classes}; pass range({classes})"
        )
    values = as_labels(classes, "classes")
    if not is_concrete(values) or values.ndim != 1:
        raise ValueError(
            f"classes must be a list of values that can be read, found an array of {values.dtype} "
            f"of shape {values.shape}"
        )
    order = values.tolist()
    repeated = [value for value, count in Counter(order).items() if count > 1]
    if repeated:
        raise ValueError(f"classes must be different, found {short(repeated)} more than once")
    return order


def _at_least_two(order: list) -> list:
    if len(order) < 2:
        raise ValueError(
            f"labels must hold at least two classes, found only {order}; "
            "pass classes= if others are possible"
        )
    return order


def _signs(values: Array | np.ndarray, order: list) -> Float[np.ndarray, "n c"]:
    """±1 by class. Values of Python are compared: these are equal only where nothing is rounded."""
    classes = _as_floats(order, values.dtype) if are_real(values) else order
    position = {value: column for column, value in enumerate(classes)}
    columns = np.array([position.get(value, -1) for value in values.tolist()])
    if (columns < 0).any():
        unknown = np.unique(np.asarray(values)[columns < 0]).tolist()
        raise ValueError(
            f"labels must be among classes={short(order)}, found {short(unknown)}; "
            "add them to classes, or drop their rows"
        )
    signs = np.full((len(columns), len(order)), -1, np.float32)
    signs[np.arange(len(columns)), columns] = 1
    return signs


def _traced_signs(values: Array | np.ndarray, order: list) -> Float[Array, "n c"]:
    """±1 by class; NaN in the row of a label of no class, which cannot be refused here."""
    classes = _as_floats(order, values.dtype) if are_real(values) else order
    try:
        known = np.array(classes, object).astype(values.dtype)
    except (ValueError, OverflowError):
        known = np.zeros(0)
    if known.tolist() != classes:
        raise ValueError(
            f"classes must be values that traced labels of dtype {values.dtype} can have, "
            f"found {short(order)}; convert the labels before jit"
        )
    is_member = values[:, None] == known[None, :]
    signs = jnp.where(is_member, 1.0, -1.0).astype(jnp.float32)
    return jnp.where(is_member.any(axis=1, keepdims=True), signs, jnp.nan)


def _as_floats(order: list, dtype: Any) -> list:
    """Classes as labels of a dtype of floats hold them: 0.1 is another number in float32."""
    rounded = np.asarray(as_numbers(np.asarray(order), "classes")).astype(dtype).tolist()
    if len(set(rounded)) < len(order):
        raise ValueError(f"classes must be different in the labels' {dtype}, found {short(order)}")
    return rounded


def _real_targets(labels: Array | np.ndarray) -> Float[Array | np.ndarray, "n k"]:
    return of_jax_or_numpy(exactly(_as_columns, labels, by_rows=True))


def _as_columns(labels: Array | np.ndarray) -> Float[Array, "n k"]:
    y = as_real_floats(labels, "labels")
    if y.ndim not in (1, 2):
        raise ValueError(f"real-valued labels must have shape (n,) or (n, k), found {y.shape}")
    require_finite(y, "labels")
    if y.ndim == 1:
        return y[:, None]
    return y
