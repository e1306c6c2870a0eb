"""A task of the study of transfer, and a source task with its targets."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float32, Int
from numpy import ndarray


class Points(NamedTuple):
    """Inputs between −1 and 1, and their classes 0 and 1."""

    inputs: Float32[ndarray, "n p"]
    labels: Int[ndarray, " n"]


class Task(NamedTuple):
    """Two classes to tell apart.

    Attributes:
      name: for tables.
      dial: how far it is from the source task, 0 to 1.
      training: of (n, seed): n points drawn with the seed.
      test: of n: other points, at most n, always the same.
    """

    name: str
    dial: float
    training: Callable[[int, int], Points]
    test: Callable[[int], Points]


class Problem(NamedTuple):
    """A source task and what to transfer to."""

    source: Task
    targets: list[Task]
