"""The design of the study of transfer: a source task and its targets, at growing distance."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from jaxalign.data import Dataset, box_task, hyperplane_task, peaks_distance, peaks_task
from jaxalign.studies.framework.study import Cell

SOURCE_FUNCTION = "ABC"


@dataclass(frozen=True)
class Config:
    """Sizes of the design."""

    seeds: int = 20
    """Networks per problem; each also draws its own points for the targets."""
    widths: tuple[int, ...] = (64, 64, 64)
    """Of the MLP's hidden layers, with biases, ReLU."""
    steps: int = 3000
    """Of Adam at 1e-3, batches of 64, on the source task."""
    source_samples: int = 3000
    """Points of the source task."""
    target_samples: int = 200
    """Points a head is trained on, and alignment measured on."""
    test_samples: int = 4000
    """Points of which accuracy is the share."""
    head_steps: int = 200
    """Of gradient descent on the head's full batch, from 0."""
    dials: tuple[float, ...] = tuple(i / 8 for i in range(9))
    """Levels of the line and the box; the first one is 0."""
    functions: tuple[str, ...] = (
        "ABC",
        "ABD",
        "AEC",
        "DBC",
        "ACB",
        "BAC",
        "BCA",
        "ADE",
        "DBE",
        "EFC",
        "DEF",
        "EFD",
        "FDE",
    )
    """Peaks functions; the first one is the source."""
    learned: float = 0.95
    """Test accuracy on the source task that every network has to reach."""


class Target(NamedTuple):
    """A task to transfer to.

    Attributes:
      name: for tables.
      dial: its distance from the source task, 0 to 1.
      sample: of (n, seed=): its data.
    """

    name: str
    dial: float
    sample: Callable[..., Dataset]


def cells(config: Config) -> list[Cell]:
    """One cell per problem."""
    return [{"problem": problem} for problem in ("hyperplane", "box", "peaks")]


def targets_of(config: Config, problem: str) -> list[Target]:
    """The targets of a problem, the source task first."""
    if problem == "peaks":
        distance = partial(peaks_distance, SOURCE_FUNCTION)
        return [
            Target(roles, distance(roles), partial(peaks_task, roles=roles))
            for roles in config.functions
        ]
    task = hyperplane_task if problem == "hyperplane" else box_task
    return [Target(f"{dial:g}", dial, partial(task, dial=dial)) for dial in config.dials]
