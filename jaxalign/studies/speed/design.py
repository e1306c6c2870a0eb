"""The design of the study of speed: which representations learn which labels, and how."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxalign.studies.framework.study import Cell
from jaxalign.studies.shared.networks import ARCHITECTURES, Architecture
from jaxalign.studies.shared.outside import CIFAR10, is_there
from jaxalign.studies.shared.problems import (
    Parts,
    diabetes,
    digits_parity,
    fashion_groups,
    parted,
)

# Of the diabetes set the other patients are held out.
PATIENTS = 300


def _pullover_or_coat(n: int) -> Parts:
    return parted(fashion_groups((2,), (4,)), n)


def _even_or_odd(n: int) -> Parts:
    return parted(digits_parity(2 * n), n)


def _diabetes(n: int) -> Parts:
    return parted(diabetes(), min(n, PATIENTS))


PROBLEMS: dict[str, Callable[[int], Parts]] = {
    "Fashion-MNIST": _pullover_or_coat,
    "digits": _even_or_odd,
    "diabetes": _diabetes,
}
TEN_DIGITS = "ten digits"
TEN_CLOTHES = "ten kinds of clothing"
TEN_CLASSES = (TEN_DIGITS, TEN_CLOTHES, CIFAR10.name)
"""Data with ten classes, of which all even splits are learned; Fashion-MNIST's are clothing."""
LABELINGS = "all even splits"
"""The architecture in the cells of these."""

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
    """Of each problem, to train networks and heads on; as many are held out, or what is left."""
    training: int = 200
    """Updates of a network, by Adam at 1e-3 in batches of 64."""
    horizon: int = 1000
    """Steps of descent on a head."""
    share: float = 0.5
    """The loss to be reached: the share of what is in span that is left."""
    far: float = 0.25
    """A loss that takes longer, for which smaller singular values count."""
    threshold: float = 0.15
    """τ/√n of A(τ): that of the demo's τ = 5 at n = 1000."""
    resamples: int = 1000
    """Bootstrap samples of the interval of ρ over all cells."""
    ten_classes: tuple[str, ...] = (TEN_DIGITS, TEN_CLOTHES)
    """The data whose classes are split in all even ways."""
    draws: int = 1
    """Disjoint draws of their rows, with networks of their own in each."""
    per_class: int = 30
    """Rows of each class that networks and heads are trained on, in a draw."""
    held_out: int = 25
    """Rows of each class that neither sees."""
    relabellings: int = 20_000
    """Random permutations of the ten classes."""


def cells(config: Config) -> list[Cell]:
    """Every problem with every family that takes its inputs; all splits of data at hand."""
    layers: list[Cell] = [
        {"problem": problem, "architecture": architecture.name}
        for problem in PROBLEMS
        for architecture in ARCHITECTURES
        if architecture.name in config.architectures and _takes(config, architecture, problem)
    ]
    splits: list[Cell] = [
        {"problem": name, "architecture": LABELINGS}
        for name in config.ten_classes
        if name != CIFAR10.name or is_there(CIFAR10)
    ]
    return layers + splits


def _takes(config: Config, architecture: Architecture, problem: str) -> bool:
    if not architecture.images or problem == "digits":
        return True
    return config.large_images and problem == "Fashion-MNIST"
