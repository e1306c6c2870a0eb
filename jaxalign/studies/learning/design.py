"""The design of the study of learning curves: which representations, rows and strengths."""

from dataclasses import dataclass

from jaxalign.models.weights._pretrained import published_file
from jaxalign.studies.framework.study import Cell

FASHION = "Fashion-MNIST, long sleeves"
DIGITS = "digits, even or odd"

PIXELS = "pixels"
UNTRAINED = "untrained MLP"
TRAINED = "trained MLP"

BEST = "best"
"""The strength that is best for a number of rows."""


@dataclass(frozen=True)
class Config:
    """Which heads are fitted to which rows."""

    tasks: tuple[str, ...] = (FASHION, DIGITS)
    networks: tuple[str, ...] = ("efficientnet-lite0",)
    """Pretrained ones, of which those that are installed take part."""
    widths: tuple[int, ...] = (256, 256)
    """Of the hidden layers of the MLP; the last one is the representation."""
    steps: int = 400
    """Of Adam, batches of 64, on rows that no head sees."""
    pool: int = 1200
    """Rows that the network did not see, for heads and their test."""
    known: int = 300
    """N, rows of the spectrum."""
    sizes: tuple[int, ...] = (20, 40, 75, 150, 300, 600)
    """n, rows that a head is fitted to: some of the N, or these and more."""
    ridges: tuple[float, ...] = (1e-3, 1e-2, 0.1, 1.0)
    """ρ, of rows of norm 1."""
    draws: int = 24
    """Random choices of all these rows from the pool."""
    tolerance: float = 0.05
    """Share of the error by which a prediction may miss."""


def cells(config: Config) -> list[Cell]:
    """A representation of a task."""
    representations = (PIXELS, UNTRAINED, TRAINED, *filter(_is_installed, config.networks))
    return [
        {"task": task, "representation": representation}
        for task in config.tasks
        for representation in representations
    ]


def _is_installed(name: str) -> bool:
    try:
        published_file(name)
    except ModuleNotFoundError:
        return False
    return True
