"""The design of the study of random labels: which networks are trained on which labels."""

import math
from dataclasses import dataclass

from jaxalign.data._fashion_mnist import CLASSES
from jaxalign.studies.framework.study import Cell

DIGITS = "even or odd digit"
# The labels that a network is trained on.
TRUE = "true"
RANDOM = "random"
# The labels that a layer is asked about.
OWN = "trained on"
FRESH = "never trained on"
TRUTH = "true"


@dataclass(frozen=True)
class Config:
    """Which networks are trained on which labels."""

    pairs: tuple[tuple[int, int], ...] = ((2, 4), (0, 6))
    """Of Fashion-MNIST's classes 0...9."""
    on_pairs: tuple[str, ...] = ("ReLU MLP",)
    """The architectures that are trained on these, by name."""
    on_digits: tuple[str, ...] = ("ReLU MLP", "CNN")
    """The architectures that are trained on even against odd digits. These images are small: on two
    cores a CNN takes minutes for larger ones.
    """
    num_samples: int = 256
    """Of each problem."""
    draws: int = 10
    """Networks trained on random labels, each on a permutation of its own."""
    seeds: int = 5
    """Networks trained on the true labels; no two networks have the same initial weights."""
    steps: int = 450
    """Of Adam, batches of 64."""
    every: int = 15
    """Steps between measurements."""
    rate: float = 2e-3
    """Learning rate."""
    threshold: float = 0.15
    """τ of the columns "at" and "chance", in units of √n."""
    fitted: float = 0.35
    """Training loss in nats that counts as fitted: half of what guessing costs."""
    level: float = 0.05
    """Of all tests together."""

    def tau(self, n: int) -> float:
        """The threshold of n samples, in units of the singular values."""
        return self.threshold * math.sqrt(n)


def cells(config: Config) -> list[Cell]:
    """An architecture on a problem with true labels, or with one permutation of them."""
    labels = [TRUE, *(f"{RANDOM} {draw + 1}" for draw in range(config.draws))]
    runs = [(pair_name(a, b), name) for a, b in config.pairs for name in config.on_pairs]
    runs += [(DIGITS, name) for name in config.on_digits]
    return [
        {"problem": problem, "architecture": name, "labels": of}
        for problem, name in runs
        for of in labels
    ]


def seeds_of(config: Config, draw: int) -> list[int]:
    """The seeds of the networks that a permutation, or 0 for the true labels, is learned by."""
    if draw == 0:
        return list(range(config.seeds))
    return [config.seeds + draw - 1]


def pair_name(a: int, b: int) -> str:
    """The name of a pair of classes as a problem."""
    return f"{CLASSES[a]} or {CLASSES[b]}"


def draw_of(labels: str) -> int:
    """The number of a permutation of the labels, from 1; 0 for the true labels."""
    return 0 if labels == TRUE else int(labels.removeprefix(RANDOM))
