"""The synthetic problems: a line that is turned, a box that is moved, and peaks functions."""

from collections.abc import Callable, Sequence
from functools import partial

from jaxalign.data import Dataset, box_task, hyperplane_task, peaks_distance, peaks_task
from jaxalign.studies.transfer.tasks import Points, Problem, Task

TEST_POINTS = 1_000_001
"""The seed of test points; those of training points are smaller."""


def turned(dials: Sequence[float]) -> Problem:
    """Pratt's points by a line, which the dial turns away from the source's."""
    return _problem(
        [_task(f"{dial:g}", dial, partial(hyperplane_task, dial=dial)) for dial in dials]
    )


def moved(dials: Sequence[float]) -> Problem:
    """Pratt's points by a box, which the dial moves away from the source's."""
    return _problem([_task(f"{dial:g}", dial, partial(box_task, dial=dial)) for dial in dials])


def peaks(functions: Sequence[str]) -> Problem:
    """Caruana's peaks functions; the first is the source, with which others share variables."""
    return _problem(
        [
            _task(roles, peaks_distance(functions[0], roles), partial(peaks_task, roles=roles))
            for roles in functions
        ]
    )


def _problem(tasks: list[Task]) -> Problem:
    """The source is the first of its own targets, on other points."""
    return Problem(tasks[0], tasks)


def _task(name: str, dial: float, sample: Callable[..., Dataset]) -> Task:
    def training(n: int, seed: int) -> Points:
        drawn = sample(n, seed=seed)
        return Points(2 * drawn.inputs - 1, drawn.labels)

    return Task(name, dial, training, partial(training, seed=TEST_POINTS))
