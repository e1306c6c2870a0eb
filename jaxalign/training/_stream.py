"""A stream as a source of batches: an iterable that is read while the device works."""

import math
from collections.abc import Generator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array, ShapeDtypeStruct

from jaxalign._core.checks import require_finite
from jaxalign.training._batches import Batches, batch_named
from jaxalign.training._process_local import have_one_next, note_of
from jaxalign.training._processes import ALONE, Processes, in_step
from jaxalign.training._reader import Position
from jaxalign.training._schedule import Schedule
from jaxalign.training._source import Block, LabelCheck, described


class Stream(NamedTuple):
    """A Source that reads its batches a chunk at a time.

    Attributes:
      batches: of one size, as this process reads them.
      chunk_bytes: of a block in one process, at most.
      processes: that read them.
      parts: of how many of these batches, from different processes, one of the run is made.
      check: of the labels of a block.
    """

    batches: Batches
    chunk_bytes: int
    processes: Processes = ALONE
    parts: int = 1
    check: LabelCheck = np.asarray

    @property
    def arrays(self) -> tuple[None, None]:
        """None are kept."""
        return None, None

    @property
    def batch_size(self) -> int:
        """The rows of a batch."""
        return len(self.batches.first.inputs) * self.parts

    @property
    def description(self) -> str:
        """Shapes and dtypes of a batch as this process reads it."""
        kind = "batches of own rows" if self.parts > 1 else "whole batches"
        return f"{kind} of {described(*self.batches.given)}"

    @property
    def batch_inputs(self) -> ShapeDtypeStruct:
        """What inputs of a batch are in a program."""
        return self._in_program(self.batches.first.inputs)

    @property
    def batch_labels(self) -> ShapeDtypeStruct:
        """What labels of a batch are in a program."""
        with batch_named("batch 0 of data"):
            return self._in_program(self.check(self.batches.first.labels))

    def _in_program(self, x: Array | np.ndarray) -> ShapeDtypeStruct:
        return ShapeDtypeStruct((self.batch_size, *x.shape[1:]), x.dtype)

    @property
    def first_batch(self) -> tuple[np.ndarray, np.ndarray]:
        """The first one that was read, which tells streams apart."""
        return self.batches.first

    @property
    def most_steps(self) -> int:
        """How many batches a block may hold."""
        size = sum(x.size * x.dtype.itemsize for x in (self.batch_inputs, self.batch_labels))
        return max(self.chunk_bytes * self.parts // max(size, 1), 1)

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
            finite, or has labels that the objective does not take; in all processes if in one.
        """
        blocks = _Blocks(self, plan)
        try:
            if position is not None:
                with in_step(self.processes.together):
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
        number = batches.number
        end = min(begin + self._plan.length, self._plan.steps)
        # jax gives back what numpy lent to the chunk before when it is next called.
        jax.device_put(0)
        arrays = [_aligned((self._plan.length, *x.shape), x.dtype) for x in batches.first]
        padding = [x[end - begin :] for x in arrays]
        following = None
        with in_step(self._stream.processes.together) as notes:
            dropped = self._read(arrays, begin, end)
            position = batches.position()
            if len(padding[0]):
                # The last row has its loss on the batch that comes next, or else on the last one;
                # past it the state stands still.
                following = batches.next()
                _fill(padding, following or self._last)
            with batch_named(f"in batches {number} ... {batches.number - 1} of data"):
                samples = self._samples(*arrays)
            notes.own = note_of(dropped, None if following is None else batches.number - 1)
        is_common = have_one_next(notes.everywhere)
        if following is not None and not is_common:
            _fill(padding, self._last)
            samples = self._samples(*arrays)
        return Block(samples, position)

    def _read(self, arrays: list[np.ndarray], begin: int, end: int) -> list[int]:
        """Read the batches of these steps; the numbers of those that were dropped."""
        batches = self._stream.batches
        before = len(batches.dropped)
        for step in range(begin, end):
            batch = batches.next()
            if batch is None:
                shorter = f" and {len(batches.dropped)} with fewer" if batches.dropped else ""
                raise ValueError(
                    f"data ended after {step} batches of {self._stream.batch_size} rows{shorter}, "
                    f"for steps={self._plan.steps}; pass steps={step}, or a loader that repeats"
                )
            _fill([x[step - begin] for x in arrays], batch)
        if end > begin:
            self._last = [x[end - begin - 1].copy() for x in arrays]
        return batches.dropped[before:]

    def _samples(self, inputs: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m, every, b, ...) inputs and labels, checked."""
        steps, rows = labels.shape[:2]
        require_finite(inputs.reshape(steps * rows, *inputs.shape[2:]), "inputs")
        answers = np.asarray(self._stream.check(labels.reshape(steps * rows, *labels.shape[2:])))
        shape = (-1, self._plan.group, rows)
        inputs = inputs.reshape(*shape, *inputs.shape[2:])
        return inputs, answers.reshape(*shape, *answers.shape[1:])


def _fill(arrays: list[np.ndarray], batch: Any) -> None:
    for x, values in zip(arrays, batch, strict=True):
        x[...] = values


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
