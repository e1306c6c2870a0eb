"""The thousand images of the authors' demo."""

from pathlib import Path

import numpy as np

from jaxalign.studies.shared.problems import Problem, cifar_pair

OF_CLASS = 5000
"""The images of each class among CIFAR-10's training images."""


def authors_images(n: int, folder: str | Path) -> Problem:
    """The first n/2 images of CIFAR-10's classes 0 and 1 in the notebook's random order."""
    images = cifar_pair(0, 1, 2 * OF_CLASS, folder)
    of_class = [np.flatnonzero(images.labels == label) for label in (0, 1)]
    orders = torch_permutations(OF_CLASS, 2)
    rows = np.concatenate(
        [places[order[: n // 2]] for places, order in zip(of_class, orders, strict=True)]
    )
    return images._replace(
        inputs=images.inputs[rows], labels=images.labels[rows], targets=images.targets[rows]
    )


def torch_permutations(count: int, draws: int) -> list[np.ndarray]:
    """The first results of torch.randperm(count) after torch.manual_seed(0).

    Torch and numpy's RandomState have the same generator, the Mersenne Twister.
    """
    generator = np.random.RandomState(0)
    permutations = []
    for _ in range(draws):
        order = np.arange(count)
        numbers = generator.randint(0, 2**32, count - 1, dtype=np.uint32).astype(np.int64)
        # Each position is swapped with one that is not before it.
        others = np.arange(count - 1) + numbers % np.arange(count, 1, -1)
        for position, other in enumerate(others):
            order[[position, other]] = order[[other, position]]
        permutations.append(order)
    return permutations
