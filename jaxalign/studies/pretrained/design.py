"""The design of the study of pretrained networks: which networks are asked about which tasks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata

from jaxalign.data._fashion_mnist import CLASSES
from jaxalign.models._sentences import PACKAGE
from jaxalign.studies.framework.study import Cell
from jaxalign.studies.pretrained.published import TEXTS
from jaxalign.studies.pretrained.tasks import Task, digits_task, fashion_task, summary_task

# Representations of networks; those without a network have the names of the references.
PUBLISHED = "published"
UNTRAINED = "untrained"


@dataclass(frozen=True)
class Config:
    """Which networks are asked about which tasks."""

    networks: tuple[str, ...] = ("efficientnet-lite0", "squeezenet1.1")
    """Those for images, of the extra "pretrained"."""
    pairs: tuple[tuple[int, int], ...] = ((0, 6), (2, 4), (5, 7))
    """Of Fashion-MNIST's classes 0...9, each in one pair, so that no two tasks share an image."""
    texts: tuple[tuple[str, str], ...] = (("stats", "special"), ("signal", "linalg"))
    """Parts of scipy whose documentation is told apart, if the sentence encoder is installed."""
    num_samples: int = 100
    """Of each task at most, in multiples of 20."""
    seeds: int = 3
    """Untrained networks."""
    permutations: int = 999
    """Of the labels."""
    threshold: float = 0.15
    """τ of the column "at", in units of √n."""
    level: float = 0.05
    """Of all tests of a kind together."""


def cells(config: Config) -> list[Cell]:
    """A network on a task; cells of one network follow one another, so each is loaded once."""
    pairs = [(name, task) for name in config.networks for task in image_tasks(config)]
    if has_texts():
        pairs += [(TEXTS, task) for task in text_tasks(config)]
    return [{"network": name, "task": task} for name, task in pairs]


def image_tasks(config: Config) -> dict[str, Callable[[int], Task]]:
    """Name → function of n: the task of n samples."""
    pairs = {f"{CLASSES[a]} or {CLASSES[b]}": partial(fashion_task, a, b) for a, b in config.pairs}
    return {**pairs, "even or odd digit": digits_task}


def text_tasks(config: Config) -> dict[str, Callable[[int], Task]]:
    """Name → function of n: the task of at most n texts."""
    return {f"scipy.{a} or .{b}": partial(summary_task, a, b) for a, b in config.texts}


def has_texts() -> bool:
    """Whether the sentence encoder is installed."""
    try:
        return bool(metadata.distribution(PACKAGE))
    except metadata.PackageNotFoundError:
        return False
