"""The design of the study of speed: which networks learn which data, and how heads descend."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxalign.studies.framework.study import Cell
from jaxalign.studies.shared.networks import ARCHITECTURES, Architecture
from jaxalign.studies.shared.problems import Problem, diabetes, digits_parity, fashion_pair


def _pullover_or_coat(n: int) -> Problem:
    return fashion_pair(2, 4, n)


def _all_of_diabetes(n: int) -> Problem:
    return diabetes()


PROBLEMS: dict[str, Callable[[int], Problem]] = {
    "Fashion-MNIST": _pullover_or_coat,
    "digits": digits_parity,
    "diabetes": _all_of_diabetes,
}
ALLOWED_ERROR = 1e-6
LEVEL = 0.05
THRESHOLDS = 64
"""Values of τ at which the bound is checked."""


@dataclass(frozen=True)
class Config:
    """Sizes of the design, and the losses to be reached."""

    architectures: tuple[str, ...] = ("linear MLP", "ReLU MLP", "CNN", "transformer")
    """Families of networks; those of images leave out the diabetes set."""
    large_images: bool = False
    """Whether those of images also learn Fashion-MNIST, and not the 8×8 digits alone: five CNNs at
    once take a CPU minutes.
    """
    seeds: int = 5
    """Networks per cell."""
    num_samples: int = 300
    """Of the classification problems; networks and heads learn from all."""
    training: int = 200
    """Updates of a network, by Adam at 1e-3 in batches of 64."""
    horizon: int = 1000
    """Steps of descent on a head."""
    share: float = 0.5
    """The loss to be reached, over ‖y‖²."""
    far: float = 0.25
    """A loss that takes longer, for which smaller singular values count."""
    threshold: float = 0.15
    """τ/√n of A(τ): that of the demo's τ = 5 at n = 1000."""
    resamples: int = 2000
    """Bootstrap samples of the interval of ρ over all cells."""


def cells(config: Config) -> list[Cell]:
    """Every problem with every family that takes its inputs."""
    return [
        {"problem": problem, "architecture": architecture.name}
        for problem in PROBLEMS
        for architecture in ARCHITECTURES
        if architecture.name in config.architectures and _takes(config, architecture, problem)
    ]


def _takes(config: Config, architecture: Architecture, problem: str) -> bool:
    if not architecture.images or problem == "digits":
        return True
    return config.large_images and problem == "Fashion-MNIST"
