"""How commands show progress: bars in a terminal, a few lines elsewhere."""

from jaxalign._core.progress import progress_bar

__all__ = ["Lines", "progress_bar"]


class Lines:
    """Which of many steps get a line of their own where there is no terminal.

    Example:
      >>> lines = Lines(100, 4)
      >>> [done for done in range(0, 101, 5) if lines.due(done)]
      [0, 25, 50, 75, 100]
    """

    def __init__(self, total: int, count: int):
        self._total = total
        self._spacing = total / count
        self._next = 0.0

    def due(self, done: int) -> bool:
        """Whether a line is due after so many steps: at the first call, at the end, and evenly in
        between.
        """
        if done < self._next and done != self._total:
            return False
        self._next = done + self._spacing
        return True
