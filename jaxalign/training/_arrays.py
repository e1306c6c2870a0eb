"""Arrays in memory as a source of batches: fresh permutations, one after the other, cut into
batches and chunks.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jax import Array, ShapeDtypeStruct

from jaxalign.training._reader import Position
from jaxalign.training._schedule import Schedule
from jaxalign.training._source import Block, LabelCheck, described


class Arrays(NamedTuple):
    """A Source of all samples, in orders that the seeds draw.

    Attributes:
      inputs: (n, ...) in the dtype of a program.
      labels: (n, ...).
      batch_size: samples a step.
      seeds: one for all models, or one each.
    """

    inputs: Array | np.ndarray
    labels: Array | np.ndarray
    batch_size: int
    seeds: Sequence[int]

    @property
    def arrays(self) -> tuple[Array | np.ndarray, Array | np.ndarray]:
        """All inputs and labels."""
        return self.inputs, self.labels

    @property
    def parts(self) -> int:
        """Each process has all rows."""
        return 1

    @property
    def description(self) -> str:
        """Shapes, dtypes and the size of a batch."""
        return f"{described(self.inputs, self.labels)}, batches of {self.batch_size}"

    @property
    def batch_inputs(self) -> ShapeDtypeStruct:
        """What inputs of a batch are."""
        return ShapeDtypeStruct((self.batch_size, *self.inputs.shape[1:]), self.inputs.dtype)

    @property
    def batch_labels(self) -> ShapeDtypeStruct:
        """What labels of a batch are."""
        return ShapeDtypeStruct((self.batch_size, *self.labels.shape[1:]), self.labels.dtype)

    @property
    def first_batch(self) -> None:
        """All of them are there."""
        return None

    @property
    def most_steps(self) -> None:
        """Any number."""
        return None

    def checked(self, check: LabelCheck) -> "Arrays":
        """The same with labels as the objective takes them."""
        return self._replace(labels=check(self.labels))

    def blocks(
        self, plan: Schedule, step: int, position: Position | None = None
    ) -> Generator[Block, None, None]:
        """The row numbers of all chunks from a step on."""
        orders = [_row_numbers(self, plan, seed, step) for seed in self.seeds]
        for rows in zip(*orders, strict=True):
            yield Block(np.stack(rows) if len(rows) > 1 else rows[0])


def _row_numbers(data: Arrays, plan: Schedule, seed: int, step: int) -> Iterator[np.ndarray]:
    """(length/every, every, batch_size) row numbers per chunk."""
    rows = len(data.inputs)

    def permutation(epoch: int) -> np.ndarray:
        return np.random.default_rng((seed, epoch)).permutation(rows).astype(np.int32)

    epoch, offset = divmod(step * data.batch_size, rows)
    pool = permutation(epoch)[offset:]
    size = plan.length * data.batch_size
    for _ in plan.beginnings(step):
        while len(pool) < size:
            epoch += 1
            pool = np.concatenate([pool, permutation(epoch)])
        yield pool[:size].reshape(-1, plan.group, data.batch_size)
        pool = pool[size:]
