"""In which order the training rows come: fresh permutations, one after the other, cut into batches
and chunks.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np


class Schedule(NamedTuple):
    """How a run of steps + 1 rows is cut.

    Attributes:
      rows: n, training samples.
      batch_size: samples a step.
      steps: updates.
      every: steps between two measurements.
      length: steps of a chunk, a multiple of ``every``: all chunks have one length, the last one is
        padded by going on.
    """

    rows: int
    batch_size: int
    steps: int
    every: int
    length: int

    def begins_chunk(self, step: int) -> bool:
        """Whether a chunk begins at a step: there a longer run can go on, by the same program from
        the same state.
        """
        return step % self.length == 0 and step <= self.steps

    def batches(self, seed: int, done: int) -> Iterator[np.ndarray]:
        """(length/every, every, batch_size) row numbers per chunk, from step ``done`` on."""

        def permutation(epoch):
            return np.random.default_rng((seed, epoch)).permutation(self.rows).astype(np.int32)

        epoch, offset = divmod(done * self.batch_size, self.rows)
        pool = permutation(epoch)[offset:]
        size = self.length * self.batch_size
        for _ in range(done, self.steps + 1, self.length):
            while len(pool) < size:
                epoch += 1
                pool = np.concatenate([pool, permutation(epoch)])
            yield pool[:size].reshape(-1, self.every, self.batch_size)
            pool = pool[size:]

    def batches_of(self, seeds: Sequence[int], done: int) -> Iterator[np.ndarray]:
        """The same of several seeds at once, (seeds, length/every, every, batch_size); of one seed
        without the first axis.
        """
        if len(seeds) == 1:
            return self.batches(seeds[0], done)
        return map(np.stack, zip(*(self.batches(seed, done) for seed in seeds), strict=True))


def schedule(rows: int, batch_size: int, steps: int, every: int, chunk: int) -> Schedule:
    """The Schedule whose chunks are at most about ``chunk`` steps long.

    Their length depends on the number of steps only where one chunk holds the whole run: a run that
    is extended later goes on with the chunks that a longer one would have had.

    Example:
      >>> from jaxalign.training._batches import schedule
      >>> schedule(rows=90, batch_size=16, steps=20, every=3, chunk=8).length
      6
    """
    every = min(every, steps + 1)
    measured = -(-(steps + 1) // every)
    return Schedule(rows, batch_size, steps, every, min(max(chunk // every, 1), measured) * every)
