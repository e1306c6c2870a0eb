"""Inputs and labels of ``fit``, checked before anything is computed."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, ShapeDtypeStruct

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import as_program_numbers, require_finite
from jaxalign._core.kinds import found
from jaxalign._core.mesh import with_automatic_axes
from jaxalign._features.labels import as_labels
from jaxalign.capture._networks import Split
from jaxalign.monitoring import BatchMonitor
from jaxalign.training._arrays import Arrays
from jaxalign.training._batches import (
    Batches,
    Keys,
    Reading,
    is_stream,
    pair_of,
    require_readable,
)
from jaxalign.training._objective import Objective, checked_labels
from jaxalign.training._parameters import require_parameters
from jaxalign.training._process_local import ProcessLocal, parts_of_a_batch
from jaxalign.training._processes import Processes
from jaxalign.training._source import Source
from jaxalign.training._state import Monitors
from jaxalign.training._stream import Stream

DEFAULT_BATCH = 64
"""The rows of a batch of arrays in memory."""


def checked_source(
    data: Any, labels: Any, batch_size: int | None, seeds: Sequence[int], reading: Reading
) -> Source:
    """The Source of what ``fit`` is given: arrays in memory, or an iterable of batches.

    Raises:
      ValueError: as ``checked_arrays`` and ``Batches``; a stream with another batch size, with
        labels beside it, or with a seed for each model.
      TypeError: as these.
    """
    # A list beside labels is an array.
    if not is_stream(data) or (isinstance(data, list) and labels is not None):
        return checked_arrays(data, labels, batch_size, seeds, reading.keys)
    if labels is not None:
        raise ValueError(
            f"labels must be None where data is a stream of batches, found {found(labels)} beside "
            f"{found(data)}; pass an iterable of pairs (inputs, labels)"
        )
    if len(seeds) > 1:
        raise ValueError(
            f"seed must be one number where data is a stream, found {len(seeds)}: all models see "
            "its batches as they come; pass arrays for an order each"
        )
    parts = 1
    if isinstance(data, ProcessLocal):
        _require_all_processes(reading.processes)
        parts = parts_of_a_batch(reading.processes)
        data = data.batches
    source = Stream(Batches(data, reading), reading.chunk_bytes, reading.processes, parts)
    if batch_size not in (None, source.batch_size):
        whole = "the batches in data" if parts == 1 else "a batch of all processes together"
        raise ValueError(
            f"batch_size must be the {source.batch_size} rows of {whole}, found {batch_size}; "
            "leave it out, or batch the data so"
        )
    return source


def _require_all_processes(processes: Processes) -> None:
    """Raise if other processes train runs of their own, each on its own rows."""
    if len(processes.rows) < jax.process_count():
        raise ValueError(
            "data by ProcessLocal need a mesh of the devices of all "
            f"{jax.process_count()} processes, found none; pass "
            "mesh=jax.make_mesh((jax.device_count(),), ('data',))"
        )


def checked_arrays(
    data: Any, labels: Any, batch_size: int | None, seeds: Sequence[int], keys: Keys
) -> Arrays:
    """The Source of inputs and labels, as two arrays of as many rows.

    Raises:
      ValueError: labels missing; of different n; inputs that are not finite; a batch larger than n.
      TypeError: inputs that are not numbers; labels of another kind, or of several.
    """
    if labels is None:
        if isinstance(data, tuple) and (len(data) != 2 or isinstance(data[0], Mapping)):
            raise ValueError(
                f"data must be the pair (inputs, labels), found {found(data)}; pass batches as a "
                "list, [(inputs, labels), ...]"
            )
        if not isinstance(data, Mapping | tuple):
            raise ValueError("labels are missing; pass fit(model, optimizer, inputs, labels)")
        data, labels = pair_of(data, keys)
    require_readable(data, labels)
    batch_size = DEFAULT_BATCH if batch_size is None else batch_size
    inputs = as_numbers(with_automatic_axes(data), "inputs")
    answers = as_labels(with_automatic_axes(labels))
    if inputs.ndim == 0 or len(inputs) != len(answers):
        raise ValueError(
            "inputs and labels must have as many rows, "
            f"found shapes {inputs.shape} and {answers.shape}"
        )
    if batch_size > len(inputs):
        raise ValueError(
            f"batch_size must be at most the {len(inputs)} rows there are, found {batch_size}"
        )
    inputs = as_program_numbers(inputs, "inputs")
    require_finite(inputs, "inputs")
    return Arrays(inputs, answers, batch_size, seeds)


class Answers:
    """What a run needs of labels: as its objective takes them, and as its batch monitor encodes.

    Args:
      objective: of ``fit``.
      model: whose outputs they have to fit.
      inputs: of a batch.
      monitors: by name.

    Raises:
      ValueError: a model that returns no array, or that has no parameters of floating point.
    """

    def __init__(
        self,
        objective: Objective,
        model: Split,
        inputs: ShapeDtypeStruct,
        monitors: Monitors,
    ):
        self._objective = objective
        self._outputs = _outputs(model, inputs)
        self._rows = inputs.shape[0]
        self._monitors = [m for m in monitors.values() if isinstance(m, BatchMonitor)]
        self._known: set[int] = set()

    def __call__(self, labels: Array | np.ndarray) -> Array | np.ndarray:
        """Labels of any number of rows as the objective takes them.

        Raises:
          ValueError, TypeError: as ``checked_labels``, or as ``encode`` of a batch monitor.
        """
        shape = self._outputs
        if shape[:1] == (self._rows,):
            shape = (len(labels), *shape[1:])
        answers = as_program_numbers(checked_labels(self._objective, labels, shape), "labels")
        if self._monitors and jnp.issubdtype(answers.dtype, jnp.integer):
            self._require_encodable(np.unique(np.asarray(answers)))
        return answers

    def _require_encodable(self, values: np.ndarray) -> None:
        """Raise, as its ``encode`` does, for class labels that a batch monitor cannot encode: in
        the step they are traced, and give NaN.
        """
        if self._known.issuperset(values.tolist()):
            return
        for monitor in self._monitors:
            monitor.encode(jnp.asarray(np.resize(values, max(len(values), monitor.num_samples))))
        self._known.update(values.tolist())


def _outputs(model: Split, inputs: ShapeDtypeStruct) -> tuple[int, ...]:
    """The shape of a model's outputs for a batch."""

    def outputs_of(state: Any, batch: Array) -> Any:
        parameters, rest = model.network.split(state)
        key = partial(jax.random.key, 0)
        return model.network.run(parameters, rest, batch, key, None).outputs

    outputs = jax.eval_shape(outputs_of, model.state, inputs)
    # After the call, which says what variables are missing.
    require_parameters(*model)
    if not isinstance(outputs, ShapeDtypeStruct):
        raise ValueError(
            f"model must return one array of outputs, found a {type(outputs).__name__}; "
            "wrap it to pick one"
        )
    return outputs.shape
