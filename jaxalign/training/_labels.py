"""What the objectives of ``fit`` need of labels: shapes always, values where they can be read."""

from reprlib import repr as short
from typing import Any

import numpy as np
from jax import Array

from jaxalign._core.checks import as_real_numbers, require_finite
from jaxalign._core.known import is_concrete
from jaxalign._features.labels import are_real, as_labels

Shape = tuple[int, ...]
Labels = Array | np.ndarray


def class_numbers(labels: Any, outputs: Shape) -> Labels:
    """Labels of ``classification``: (n,) integers, 0 or 1 for one output, 0...c − 1 for c outputs.

    Booleans and whole floats count as the integers that they are, and (n, 1) as (n,).

    Raises:
      ValueError: other values, or shapes that do not fit; the message names what was meant.
      TypeError: text.
    """
    values = _numbers(labels, "pass np.unique(labels, return_inverse=True)[1]")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if len(outputs) != 2 or values.shape != outputs[:1]:
        raise ValueError(
            "classification needs outputs (n, c) and labels (n,), "
            f"found {outputs} and {values.shape}; {_remedy_of_shape(values)}"
        )
    if not is_concrete(values):
        return values
    classes = max(outputs[1], 2)
    known = np.unique(values)
    if _are_whole(known) and known[0] >= 0 and known[-1] < classes:
        return values.astype(np.int32)
    allowed = "0 or 1" if classes == 2 else f"0 ... {classes - 1}"
    raise ValueError(
        f"labels must be {allowed} for outputs (n, {outputs[1]}), "
        f"found {short(known.tolist())}; {_remedy(known, classes)}"
    )


def signs(labels: Any, outputs: Shape) -> Labels:
    """Labels of ``logistic``: (n, k), each −1 or 1; (n,) is one column.

    Raises:
      ValueError: other values, or another number of columns than of outputs.
      TypeError: text.
    """
    remedy = "pass encode_targets(labels)"
    values = _as_columns("logistic", _numbers(labels, remedy), outputs, remedy)
    if not is_concrete(values):
        return values
    known = np.unique(values).tolist()
    if not set(known) <= {-1, 1}:
        raise ValueError(
            f"labels must be -1 or 1 for objective=logistic, found {short(known)}; "
            f"{remedy}, or objective=classification for class numbers"
        )
    return values.astype(np.float32)


def real_numbers(labels: Any, outputs: Shape) -> Labels:
    """Labels of ``squared_error``: (n, k) finite numbers; (n,) is one column.

    Raises:
      ValueError: not finite, or another number of columns than of outputs.
      TypeError: text.
    """
    values = _numbers(labels, "pass objective=classification for classes")
    remedy = "give the model one output for each column of labels"
    return as_real_numbers(_as_columns("squared_error", values, outputs, remedy), "labels")


def any_numbers(labels: Any) -> Labels:
    """Labels of a user's objective: finite numbers of any shape."""
    return _numbers(labels, "pass np.unique(labels, return_inverse=True)[1]")


def _numbers(labels: Any, remedy: str) -> Labels:
    """Labels as finite numbers, traced or of numpy."""
    values = as_labels(labels)
    if not is_concrete(values):
        return values
    values = np.asarray(values)
    if values.dtype == object:
        raise TypeError(
            f"labels must be numbers of 64 bits, found {short(values.ravel()[0])}; {remedy}"
        )
    if are_real(values):
        require_finite(as_real_numbers(values, "labels"), "labels")
    return values


def _as_columns(objective: str, values: Labels, outputs: Shape, remedy: str) -> Labels:
    matrix = values[:, None] if values.ndim == 1 else values
    if len(outputs) != 2 or matrix.shape != outputs:
        raise ValueError(
            f"{objective} needs outputs (n, k) and labels (n, k), "
            f"found {outputs} and {values.shape}; {remedy}"
        )
    return matrix


def _are_whole(values: np.ndarray) -> bool:
    return bool((values == np.round(values)).all())


def _remedy(known: np.ndarray, classes: int) -> str:
    """What was probably meant by labels that are not class numbers, of these different values."""
    if set(known.tolist()) <= {-1, 1}:
        return "pass objective=logistic for -1 and 1, or labels > 0"
    if not _are_whole(known):
        return "pass objective=squared_error to regress on numbers"
    if known[0] < 0:
        return "drop the rows of negative labels, or pass objective=squared_error to regress"
    if known[0] == 1 and known[-1] == classes:
        return "pass labels - 1"
    remedy = "or pass objective=squared_error to regress on numbers"
    if known[0] == 0 and known[-1] + 1 == len(known):
        return f"give the model {len(known)} outputs, {remedy}"
    return f"number the classes by np.unique(labels, return_inverse=True)[1], {remedy}"


def _remedy_of_shape(values: Labels) -> str:
    """What was probably meant by labels and outputs whose shapes do not fit."""
    remedy = "give fit an objective of your own for other shapes"
    if values.ndim != 2:
        return remedy
    known = set(np.unique(values).tolist()) if is_concrete(values) else set()
    if known and known <= {-1, 0, 1}:
        return f"pass labels.argmax(axis=1), or objective=logistic for -1 and 1, or {remedy}"
    return f"pass objective=squared_error to regress on numbers, or {remedy}"
