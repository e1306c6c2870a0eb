"""Inputs and labels of ``fit``, checked before anything is computed."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import as_program_array, require_finite
from jaxalign._features.labels import as_labels
from jaxalign.monitoring import BatchMonitor, Monitor
from jaxalign.training._objective import Objective, checked_labels


def checked_data(data: Any, labels: Any) -> tuple[Array, Array | np.ndarray]:
    """Inputs on the device, and labels as they are given, as two arrays of as many rows.

    Raises:
      ValueError: labels missing; of different n; inputs that are not finite.
      TypeError: inputs that are no numbers; labels of another kind, or of several.
    """
    if labels is None:
        if not (isinstance(data, tuple) and len(data) == 2):
            raise ValueError("labels are missing; pass fit(model, optimizer, inputs, labels)")
        data, labels = data
    inputs = as_numbers(data, "inputs")
    answers = as_labels(labels)
    if inputs.ndim == 0 or len(inputs) != len(answers):
        raise ValueError(
            "inputs and labels must have as many rows, "
            f"found shapes {inputs.shape} and {answers.shape}"
        )
    inputs = as_program_array(inputs, "inputs")
    require_finite(inputs, "inputs")
    return inputs, answers


def checked_answers(
    objective: Objective,
    labels: Array | np.ndarray,
    model: tuple[nnx.GraphDef, nnx.State],
    inputs: Array,
    rows: int,
) -> Array:
    """Labels as the objective takes them, on the device.

    Args:
      objective: of ``fit``.
      labels: of all inputs, from ``checked_data``.
      model: whose outputs they have to fit, as ``nnx.split`` gives it.
      inputs: of the model.
      rows: of a batch.

    Raises:
      ValueError, TypeError: as ``checked_labels``; a model that returns no array.
    """
    graph, variables = model
    outputs = jax.eval_shape(
        lambda variables, batch: nnx.merge(graph, variables, copy=True)(batch),
        variables,
        jax.ShapeDtypeStruct((rows, *inputs.shape[1:]), inputs.dtype),
    )
    if not isinstance(outputs, jax.ShapeDtypeStruct):
        raise ValueError(
            f"model must return one array of outputs, found a {type(outputs).__name__}; "
            "wrap it to pick one"
        )
    shape = outputs.shape
    if shape[:1] == (rows,):
        shape = (len(labels), *shape[1:])
    return as_program_array(checked_labels(objective, labels, shape), "labels")


def require_encodable(monitors: Mapping[str, Monitor | BatchMonitor], labels: Array) -> None:
    """Raise, as its ``encode`` does, for class labels that a batch monitor cannot encode: in the
    step they are traced, and give NaN.
    """
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        return
    for monitor in monitors.values():
        if isinstance(monitor, BatchMonitor):
            known = np.unique(np.asarray(labels))
            monitor.encode(jnp.asarray(np.resize(known, max(len(known), monitor.num_samples))))
