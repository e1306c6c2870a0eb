"""The design of the study of depth."""

from dataclasses import dataclass

from jaxalign.studies.framework.study import Cell
from jaxalign.studies.shared.problems import CIFAR10, DIGITS, FASHION, at_hand

REAL = "real"
RANDOM = "random"


@dataclass(frozen=True)
class Config:
    """What is trained, and how long."""

    problems: tuple[str, ...] = (FASHION, DIGITS, CIFAR10.name)
    """Pullover against coat; digits even against odd; airplane against automobile, if at hand."""
    labels: tuple[str, ...] = (REAL, RANDOM)
    """Random labels are the real ones in another order."""
    depths: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    """Hidden layers, rising."""
    width: int = 64
    seeds: int = 10
    num_samples: int = 256
    """Of training, all measured; as many are held out."""
    side: int = 8
    """Pixels of the images of Fashion-MNIST (28) and CIFAR-10 (32)."""
    steps: int = 500
    every: int = 10
    """Steps between two measurements."""
    loss: float = 0.5
    """At which networks are compared, as a share of the best constant predictor's: of its training
    rows, by linear interpolation between measurements.
    """
    step_size: float = 1e-3
    """Of Adam."""
    batch_size: int = 32
    learned: float = 0.8
    """A depth has learned if its training loss in the end is under this share of the best constant
    predictor's.
    """
    level: float = 0.05
    """The probability that any cell is judged wrong by chance."""


def cells(config: Config) -> list[Cell]:
    """Data set × labels × depth."""
    return [
        {"problem": problem, "labels": labels, "depth": depth}
        for problem in at_hand(config.problems)
        for labels in config.labels
        for depth in config.depths
    ]
