"""The design of the study of pretrained networks: which networks are asked about which tasks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata

from jaxalign.data._fashion_mnist import CLASSES
from jaxalign.models._sentences import PACKAGE
from jaxalign.studies.framework.study import Cell
from jaxalign.studies.pretrained.natural import Half, natural_tasks
from jaxalign.studies.pretrained.published import TEXTS
from jaxalign.studies.pretrained.tasks import Task, digits_task, fashion_task, summary_task

# Representations of networks; those without a network have the names of the references.
PUBLISHED = "published"
UNTRAINED = "untrained"

THRESHOLD = 0.15
"""τ/√n of the deciding A(τ)/‖y‖²."""

# Columns that decide, declared before anything was measured.
AT = f"at_{THRESHOLD:g}"
KERNEL = "kernel_alignment"
DECIDING: Mapping[str, str] = {AT: f"A({THRESHOLD:g}√n)/‖y‖²", KERNEL: "centred kernel alignment"}

Tasks = dict[str, Callable[[], Task]]


@dataclass(frozen=True)
class Config:
    """Which networks are asked about which tasks."""

    networks: tuple[str, ...] = ("efficientnet-lite0", "squeezenet1.1")
    """Those for images, of the extra "pretrained"."""
    half: Half = "even"
    """Which classes of natural images: layers were chosen on the odd ones, the even ones decide."""
    num_samples: int = 100
    """Images of CIFAR-10 in each task."""
    pairs: tuple[tuple[int, int], ...] = ((0, 6), (2, 4), (5, 7))
    """Of Fashion-MNIST's classes 0...9, each in one pair, so that no two tasks share an image."""
    texts: tuple[tuple[str, str], ...] = (("stats", "special"), ("signal", "linalg"))
    """Parts of scipy whose documentation is told apart, if the sentence encoder is installed."""
    far_samples: int = 60
    """Samples at most of every task that is far from the network's domain, and of texts."""
    seeds: int = 3
    """Untrained networks."""
    thresholds: tuple[float, ...] = (0.05, 0.1, THRESHOLD, 0.2, 0.3)
    """τ/√n of the columns "at_..."."""
    level: float = 0.05
    """Of all tests of a kind together."""


def cells(config: Config) -> list[Cell]:
    """A network on a task; cells of one network follow one another, so each is loaded once."""
    pairs = [(name, task) for name in config.networks for task in image_tasks(config)]
    if has_texts():
        pairs += [(TEXTS, task) for task in text_tasks(config)]
    return [{"network": name, "task": task} for name, task in pairs]


def image_tasks(config: Config) -> Tasks:
    """Name → the task: natural images, if they are at hand, then what is far from them."""
    n = config.far_samples
    pairs = {
        f"{CLASSES[a]} or {CLASSES[b]}": partial(fashion_task, a, b, n) for a, b in config.pairs
    }
    far: Tasks = {**pairs, "even or odd digit": partial(digits_task, n)}
    return {**natural_tasks(config.half, config.num_samples), **far}


def text_tasks(config: Config) -> Tasks:
    """Name → the task of texts."""
    return {
        f"scipy.{a} or .{b}": partial(summary_task, a, b, config.far_samples)
        for a, b in config.texts
    }


def has_texts() -> bool:
    """Whether the sentence encoder is installed."""
    try:
        return bool(metadata.distribution(PACKAGE))
    except metadata.PackageNotFoundError:
        return False
