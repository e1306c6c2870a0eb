"""The natural problem: pairs of CIFAR-10's classes as sources and targets.

Each of four disjoint pairs of a vehicle and an animal is a source. The three other ones are similar
targets: other classes, told apart alike. Pairs of two vehicles or two animals of these are
dissimilar. No target has a class of its source.
"""

import itertools
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from jaxalign.data import cifar10
from jaxalign.data._cifar10 import CLASSES
from jaxalign.data._dataset import Dataset, balanced_rows
from jaxalign.studies.shared.outside import CIFAR10, path_of
from jaxalign.studies.transfer.tasks import Points, Problem, Task


class Pair(NamedTuple):
    """Two classes of CIFAR-10, by number."""

    first: int
    second: int

    @property
    def name(self) -> str:
        """Of both."""
        return f"{CLASSES[self.first]} or {CLASSES[self.second]}"


PAIRS = (Pair(0, 2), Pair(1, 3), Pair(8, 4), Pair(9, 5))
"""A vehicle and an animal each: the first four of both in the order of the classes."""


def natural_problem(source: str) -> Problem:
    """The problem of a source pair, by its name."""
    chosen = next(pair for pair in PAIRS if pair.name == source)
    similar = [pair for pair in PAIRS if pair != chosen]
    vehicles, animals = zip(*similar, strict=True)
    within_groups = [
        *itertools.combinations(vehicles, 2),
        *itertools.combinations(animals, 2),
    ]
    return Problem(
        _task(chosen, 0),
        [
            *(_task(pair, 0) for pair in similar),
            *(_task(Pair(a, b), 1) for a, b in within_groups),
        ],
    )


def _task(pair: Pair, dial: float) -> Task:
    return Task(pair.name, dial, partial(_drawn, pair), partial(_first, pair))


def _drawn(pair: Pair, n: int, seed: int) -> Points:
    """Training images, n/2 of each class."""
    points, _ = _images(pair)
    rng = np.random.default_rng(seed)
    rows = [
        rng.choice(np.flatnonzero(points.labels == label), n // 2, replace=False)
        for label in (0, 1)
    ]
    chosen = np.concatenate(rows)
    return Points(points.inputs[chosen], points.labels[chosen])


def _first(pair: Pair, n: int) -> Points:
    """The first test images."""
    _, points = _images(pair)
    rows = balanced_rows(points.labels, min(n, len(points.labels)))
    return Points(points.inputs[rows], points.labels[rows])


# Of all pairs, since sources share them: 0.6 GB.
@lru_cache(maxsize=16)
def _images(pair: Pair) -> tuple[Points, Points]:
    """Training and test images of two classes, 16 × 16 pixels, each the mean of four."""
    train, test = cifar10(path_of(CIFAR10), classes=pair)

    def points(images: Dataset) -> Points:
        small = images.inputs.reshape(-1, 16, 2, 16, 2, 3).mean(axis=(2, 4))
        return Points(small.reshape(len(small), -1), images.labels)

    return points(train), points(test)
