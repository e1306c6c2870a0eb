"""A stream as a source of batches: an iterable that is read while the device works."""

import math
from collections.abc import Generator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import ShapeDtypeStruct

from jaxalign._core.checks import require_finite
from jaxalign.training._batches import Batches, batch_named
from jaxalign.training._reader import Position
from jaxalign.training._schedule import Schedule
from jaxalign.training._source import Block, LabelCheck


class Stream(NamedTuple):
    """A Source that reads its batches a chunk at a time.

    Attributes:
      batches: of one size.
      chunk_bytes: of a block, at most.
      check: of the labels of a block.
    """

    batches: Batches
    chunk_bytes: int
    check: LabelCheck = np.asarray

    @property
    def arrays(self) -> tuple[None, None]:
        """None are kept."""
        return None, None

    @property
    def batch_size(self) -> int:
        """The rows of a batch."""
        return len(self.batches.first.inputs)

    @property
    def batch_inputs(self) -> ShapeDtypeStruct:
        """What inputs of a batch are in a program."""
        inputs = self.batches.first.inputs
        return ShapeDtypeStruct(inputs.shape, inputs.dtype)

    @property
    def batch_labels(self) -> ShapeDtypeStruct:
        """What labels of a batch are in a program."""
        with batch_named("batch 0 of data"):
            labels = self.check(self.batches.first.labels)
        return ShapeDtypeStruct(labels.shape, labels.dtype)

    @property
    def first_batch(self) -> tuple[np.ndarray, np.ndarray]:
        """The first one that was read, which tells streams apart."""
        return self.batches.first

    @property
    def most_steps(self) -> int:
        """How many batches a block may hold."""
        size = sum(x.size * x.dtype.itemsize for x in (self.batch_inputs, self.batch_labels))
        return max(self.chunk_bytes // max(size, 1), 1)

    def checked(self, check: LabelCheck) -> "Stream":
        """The same with labels as the objective takes them, block by block."""
        return self._replace(check=check)

    def blocks(
        self, plan: Schedule, step: int, position: Position | None
    ) -> Generator[Block, None, None]:
        """The batches of all chunks from a step on, and where the stream stands after each.

        A block is read when it is asked for, while the device runs the one before: two are in
        memory.

        Raises:
          ValueError, TypeError: the stream ends early; a batch is unlike the first one, is not
            finite, or has labels that the objective does not take.
        """
        blocks = _Blocks(self, plan)
        try:
            if position is not None:
                self.batches.go_to(position)
            for begin in plan.beginnings(step):
                yield blocks.block(begin)
        except GeneratorExit:  # the run stops before its last step
            pass
        finally:
            self.batches.close()
        self.batches.warn_of_dropped()


class _Blocks:
    """The blocks of a run."""

    def __init__(self, stream: Stream, plan: Schedule):
        self._stream = stream
        self._plan = plan
        self._last: Any = None

    def block(self, begin: int) -> Block:
        """The block of the chunk that begins at a step."""
        batches = self._stream.batches
        first = batches.first
        number = batches.number
        end = min(begin + self._plan.length, self._plan.steps)
        # jax gives back what numpy lent to the chunk before when it is next called.
        jax.device_put(0)
        arrays = [_aligned((self._plan.length, *x.shape), x.dtype) for x in first]
        for step in range(begin, end):
            batch = batches.next()
            if batch is None:
                raise ValueError(
                    f"data ended after {step} batches of {len(first.inputs)} rows, for steps="
                    f"{self._plan.steps}; pass steps={step}, or a loader that repeats"
                )
            for x, values in zip(arrays, batch, strict=True):
                x[step - begin] = values
        position = batches.position()
        if end > begin:
            self._last = [x[end - begin - 1].copy() for x in arrays]
        if end < begin + self._plan.length:
            # The last row has its loss on the batch that comes next, or else on the last one; past
            # it the state stands still.
            for x, values in zip(arrays, batches.next() or self._last, strict=True):
                x[end - begin :] = values
        with batch_named(f"in batches {number} ... {batches.number - 1} of data"):
            return Block(self._samples(*arrays), position)

    def _samples(self, inputs: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m, every, b, ...) inputs and labels, checked."""
        steps, rows = labels.shape[:2]
        require_finite(inputs.reshape(steps * rows, *inputs.shape[2:]), "inputs")
        answers = np.asarray(self._stream.check(labels.reshape(steps * rows, *labels.shape[2:])))
        shape = (-1, self._plan.group, rows)
        inputs = inputs.reshape(*shape, *inputs.shape[2:])
        return inputs, answers.reshape(*shape, *answers.shape[1:])


ALIGNMENT = 64
"""Bytes. What begins at a multiple of it, a CPU's device takes over; of anything else it makes a
copy.
"""


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An empty array."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)
