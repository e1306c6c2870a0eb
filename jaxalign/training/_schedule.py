"""How the steps of a run are cut into chunks of one length."""

from typing import NamedTuple


class Schedule(NamedTuple):
    """How a run of steps + 1 rows is cut.

    Attributes:
      steps: updates.
      every: steps between two measurements.
      length: steps of a chunk, a multiple of ``every``: all chunks have one length, the last one is
        padded by going on.
    """

    steps: int
    every: int
    length: int

    def begins_chunk(self, step: int) -> bool:
        """Whether a chunk begins at a step: there a longer run can go on, by the same program from
        the same state.
        """
        return step % self.length == 0 and step <= self.steps

    def beginnings(self, step: int) -> range:
        """Where chunks begin, from a step on that is one of them."""
        return range(step, self.steps + 1, self.length)


def schedule(steps: int, every: int, chunk: int) -> Schedule:
    """The Schedule whose chunks are at most about ``chunk`` steps long.

    Their length depends on the number of steps only where one chunk holds the whole run: a run that
    is extended later goes on with the chunks that a longer one would have had.

    Example:
      >>> from jaxalign.training._schedule import schedule
      >>> schedule(steps=20, every=3, chunk=8).length
      6
    """
    every = min(every, steps + 1)
    measured = -(-(steps + 1) // every)
    return Schedule(steps, every, min(max(chunk // every, 1), measured) * every)
