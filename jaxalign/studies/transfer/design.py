"""The design of the study of transfer: source tasks, their targets, and how many networks."""

from dataclasses import dataclass

from jaxalign.studies.framework.study import Cell
from jaxalign.studies.shared.outside import CIFAR10, is_there
from jaxalign.studies.transfer.natural import PAIRS, natural_problem
from jaxalign.studies.transfer.synthetic import moved, peaks, turned
from jaxalign.studies.transfer.tasks import Problem

LINE = "line"
BOX = "box"
PEAKS = "peaks"
NATURAL = "CIFAR-10"


@dataclass(frozen=True)
class Config:
    """Sizes of the design."""

    seeds: int = 10
    """Networks per synthetic problem; each also draws its own points for the targets."""
    natural_seeds: int = 0
    """Networks per source pair of CIFAR-10; 0 leaves these out."""
    widths: tuple[int, ...] = (64, 64, 64)
    """Of the MLP's hidden layers, with biases, ReLU."""
    steps: tuple[int, ...] = (100, 200, 500, 1000, 3000)
    """Of Adam at 1e-3, batches of 64, on the source: how long networks are trained."""
    source_samples: int = 10_000
    """Points of the source task; of CIFAR-10 all training images of a pair."""
    target_samples: int = 200
    """Points that a head or a network from scratch is trained on, and alignment measured on."""
    test_samples: int = 4000
    """Points of which accuracy is the share; of CIFAR-10 at most 2000, all test images."""
    target_steps: int = 1000
    """On the target: of gradient descent on a head from 0, of Adam on a network from scratch."""
    dials: tuple[float, ...] = tuple(i / 8 for i in range(9))
    """Levels of the line and the box; the first one is 0, the source task."""
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
    """Test accuracy on a synthetic source that every network has to reach."""
    natural_learned: float = 0.75
    """The same on a pair of CIFAR-10."""


def cells(config: Config) -> list[Cell]:
    """One cell per source task."""
    synthetic = {LINE: "0", BOX: "0", PEAKS: config.functions[0]}
    natural = [pair.name for pair in PAIRS] if config.natural_seeds and is_there(CIFAR10) else []
    return [
        *({"problem": problem, "source": source} for problem, source in synthetic.items()),
        *({"problem": NATURAL, "source": source} for source in natural),
    ]


def problem_of(config: Config, cell: Cell) -> Problem:
    """The source of a cell, and its targets."""
    if cell["problem"] == NATURAL:
        return natural_problem(str(cell["source"]))
    if cell["problem"] == PEAKS:
        return peaks(config.functions)
    if cell["problem"] == BOX:
        return moved(config.dials)
    return turned(config.dials)


def seeds_of(config: Config, cell: Cell) -> list[int]:
    """Of the networks of a cell; no two networks of CIFAR-10 have the same initial weights."""
    if cell["problem"] != NATURAL:
        return list(range(config.seeds))
    names = [pair.name for pair in PAIRS]
    first = names.index(str(cell["source"])) * config.natural_seeds
    return list(range(first, first + config.natural_seeds))


def learned(config: Config, problem: str) -> float:
    """The accuracy that counts as a source learned."""
    return config.natural_learned if problem == NATURAL else config.learned
