"""The design of the study of learning curves: which representations, rows and strengths."""

from dataclasses import dataclass
from typing import NamedTuple

from jaxalign.models.weights._pretrained import published_file
from jaxalign.studies.framework.study import Cell
from jaxalign.studies.learning.tasks import FOR_PRETRAINED, TASKS
from jaxalign.studies.shared.problems import at_hand

INPUTS = "inputs"
UNTRAINED = "untrained MLP"
TRAINED = "trained MLP"

BEST = "best"
"""The strength that is best for a number of rows."""

POOLED = 0.75
"""The share of a data set that heads may have; networks are trained on the rest."""


@dataclass(frozen=True)
class Config:
    """Which heads are fitted to which rows."""

    tasks: tuple[str, ...] = tuple(TASKS)
    """Data sets, of which those at hand take part."""
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


class Sampling(NamedTuple):
    """How many rows of a data set heads have, as of Config."""

    pool: int
    known: int
    sizes: tuple[int, ...]
    draws: int


def sampling(config: Config, rows: int) -> Sampling:
    """The rows of the design; in a small data set a half of them, a quarter and so on, until they
    are no more than its part for heads.

    There are as many times more draws, so that their means are about as precise.
    """
    part = 1
    while config.pool // part > POOLED * rows:
        part *= 2
    return Sampling(
        config.pool // part,
        config.known // part,
        tuple(size // part for size in config.sizes),
        config.draws * part,
    )


def cells(config: Config) -> list[Cell]:
    """A representation of a task."""
    networks = [name for name in config.networks if _is_installed(name)]
    return [
        {"task": task, "representation": representation}
        for task in at_hand(config.tasks)
        for representation in (INPUTS, UNTRAINED, TRAINED, *networks)
        if representation not in networks or task in FOR_PRETRAINED
    ]


def _is_installed(name: str) -> bool:
    try:
        published_file(name)
    except ModuleNotFoundError:
        return False
    return True
