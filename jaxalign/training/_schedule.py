"""How the steps of a run are cut into chunks of one length."""

from typing import NamedTuple


class Schedule(NamedTuple):
    """How a run of steps + 1 rows is cut.

    Attributes:
      steps: updates.
      every: steps between two measurements.
      length: steps of a chunk, a multiple of ``every`` or a divisor of it: all chunks have one
        length, the last one is padded by going on.
    """

    steps: int
    every: int
    length: int

    @property
    def group(self) -> int:
        """Steps of a chunk from one measurement to the next, or to its end."""
        return min(self.every, self.length)

    def begins_chunk(self, step: int) -> bool:
        """Whether a chunk begins at a step: there a longer run can go on, by the same program from
        the same state.
        """
        return step % self.length == 0 and step <= self.steps

    def beginnings(self, step: int) -> range:
        """Where chunks begin, from a step on that is one of them."""
        return range(step, self.steps + 1, self.length)

    def is_measured(self, step: int) -> bool:
        """Whether the parameters of a step are measured."""
        return step % self.every == 0


def schedule(steps: int, every: int, chunk: int, most: int | None = None) -> Schedule:
    """The Schedule whose chunks are at most about ``chunk`` steps long, and never longer than
    ``most``.

    Their length depends on the number of steps only where one chunk holds the whole run: a run that
    is extended later goes on with the chunks that a longer one would have had.

    Example:
      >>> from jaxalign.training._schedule import schedule
      >>> schedule(steps=20, every=3, chunk=8).length
      6
      >>> schedule(steps=90, every=10, chunk=64, most=8).length
      5
    """
    if most is not None:
        chunk = min(chunk, most)
        if most < min(every, steps + 1):
            length = next(n for n in range(most, 0, -1) if every % n == 0)
            return Schedule(steps, every, length)
    every = min(every, steps + 1)
    measured = -(-(steps + 1) // every)
    return Schedule(steps, every, min(max(chunk // every, 1), measured) * every)
