"""What `jaxalign train` trains: the configuration, and how it becomes a model, an optimizer and a
description.
"""

from collections.abc import Callable, Mapping
from dataclasses import Field, asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax
import numpy as np
import optax
import tyro
from flax import nnx

from jaxalign.data import Dataset
from jaxalign.models import MLP
from jaxalign.monitoring._record import Measure
from jaxalign.training import one_of

Activation = Literal["relu", "tanh", "gelu", "silu", "linear"]
Optimizer = Literal["adam", "adamw", "sgd", "momentum", "rmsprop", "lion"]

ACTIVATIONS: dict[Activation, Callable] = {
    "relu": jax.nn.relu,
    "tanh": jax.numpy.tanh,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "linear": lambda x: x,
}
OPTIMIZERS: dict[Optimizer, Callable[[float], optax.GradientTransformation]] = {
    "adam": optax.adam,
    "adamw": optax.adamw,
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    "rmsprop": optax.rmsprop,
    "lion": optax.lion,
}


WHERE = ("devices", "distributed", "coordinator", "processes", "process")
"""The options that say where to run, and change nothing of what is found."""
_OF_A_CALL = ("out", "overwrite", "resume", *WHERE)


class Variant(NamedTuple):
    """What runs of one program differ in."""

    optimizer: Optimizer
    rate: float


@dataclass(frozen=True)
class Train:
    """Train a network on Fashion-MNIST and log every layer's alignment with the labels at every
    step.

    The defaults repeat the recipe of the paper's demo (its MLP, Adam, 1000 images of two classes,
    100 epochs) on two classes that are hard to tell apart. A run folder with rows, curves, pictures
    and a page is left behind.
    """

    classes: tuple[int, ...] | Literal["all"] = (2, 4)
    """Two or more of the classes, or all: 0 T-shirt, 1 Trouser, 2 Pullover, 3 Dress, 4 Coat, 5
    Sandal, 6 Shirt, \
7 Sneaker, 8 Bag, 9 Ankle boot."""
    data: Path | None = None
    """Folder with the four IDX files of the complete Fashion-MNIST; by default the embedded 500 +
    100 images a class.
    """
    samples: int | None = None
    """Train on that many images, classes balanced; by default on all there are."""
    width: int = 128
    """Units of each hidden layer."""
    depth: int = 3
    """Number of hidden layers."""
    activation: Activation = "relu"
    """Activation of the hidden layers."""
    optimizer: tuple[Optimizer, ...] = ("adam",)
    """The optax optimizer, or several."""
    learning_rate: tuple[float, ...] = (1e-3,)
    """Its step size, or several; every optimizer with every step size is trained in one program,
    and leaves a run folder.
    """
    batch_size: int = 64
    """Images a step."""
    steps: int = 1563
    """Number of updates; 1563 are 100 epochs of 1000 images."""
    seed: int = 0
    """Of the initial weights and the order of the images."""
    seeds: int = 1
    """Train so many networks as one program, with this seed and the ones after it; pictures show
    medians and intervals.
    """
    layers: tuple[str, ...] = ("hidden_*",)
    """Glob patterns of the layers to measure, among hidden_1, hidden_2, ..., logits."""
    monitor_size: int = 1000
    """Measure on the first so many training images, classes balanced (fewer when there are fewer).
    """
    measure: Measure = "exact"
    """How: the exact spectrum; a quadrature, a few times cheaper; or deferred, solving a chunk of
    steps as one batch.
    """
    every: int = 1
    """Measure at every so many steps."""
    thresholds: tuple[float, ...] = (1.0, 3.0, 5.0, 7.0, 10.0)
    """Thresholds τ to log A(τ) at; the middle one is the headline. The whole curve is logged in any
    case.
    """
    out: Path | None = None
    """Run folder to make; by default the next free runs/train-N."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace the run that is in the out folder."""
    checkpoint_every: int = 1000
    """Keep the state after so many steps, for --resume."""
    resume: Path | None = None
    """Go on with the run in this folder, from its newest checkpoint, with its own settings; only
    options that say where to \
run go with it."""
    devices: int | None = None
    """Split over so many devices: the networks, where there are several, else batches and monitor. By
    default as many as \
divide the networks evenly; one for one network; all of them with --distributed."""
    distributed: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Be one of several processes, each started with the same command. SLURM, MPI, Kubernetes and
    TPU pods are recognized; \
elsewhere say --coordinator, --processes and --process."""
    coordinator: str | None = None
    """host:port of process 0."""
    processes: int | None = None
    """How many there are."""
    process: int | None = None
    """Which one this is, from 0."""

    def __post_init__(self) -> None:
        others = [
            field.name
            for field in fields(self)
            if field.name not in ("resume", *WHERE) and self._changed(field)
        ]
        if self.resume is not None and others:
            raise ValueError(
                f"--resume takes all settings from the run's folder; leave out {', '.join(map(_flag, others))}"
            )
        for name in (
            "width",
            "depth",
            "batch_size",
            "steps",
            "monitor_size",
            "every",
            "checkpoint_every",
            "seeds",
            "devices",
        ):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, found {value}; change {_flag(name)}")
        unknown = sorted(set(self.optimizer) - set(OPTIMIZERS))
        if unknown or not self.optimizer:
            raise ValueError(
                f"optimizer must be among {', '.join(OPTIMIZERS)}, found {unknown or 'none'}; change --optimizer"
            )
        wrong = [rate for rate in self.learning_rate if not 0 < rate < float("inf")]
        if wrong or not self.learning_rate:
            raise ValueError(
                f"learning_rate must be positive and finite, found {wrong or 'none'}; change --learning-rate"
            )
        for name in ("optimizer", "learning_rate"):
            if len(set(value := getattr(self, name))) < len(value):
                raise ValueError(
                    f"{name} must be different ones, found {value}; change {_flag(name)}"
                )
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, found {self.seed}; change --seed")
        if self.overwrite and self.out is None:
            raise ValueError("--overwrite needs a folder to replace; pass --out")
        self._check_processes()

    def _check_processes(self) -> None:
        told = [_flag(name) for name in WHERE[2:] if getattr(self, name) is not None]
        if told and not self.distributed:
            raise ValueError(f"{', '.join(told)} belong to --distributed; pass that too")
        if told and len(told) < 3:
            raise ValueError(
                f"--coordinator, --processes and --process go together, found {', '.join(told)} alone"
            )
        if self.distributed and self.out is None and self.resume is None:
            raise ValueError(
                "--distributed needs a folder that all processes see and name alike; pass --out"
            )

    @property
    def models(self) -> int:
        """How many networks are trained at once."""
        return self.seeds * len(self.variants)

    @property
    def variants(self) -> list[Variant]:
        """Every optimizer with every step size."""
        return [
            Variant(optimizer, rate) for optimizer in self.optimizer for rate in self.learning_rate
        ]

    def _changed(self, field: Field) -> bool:
        return getattr(self, field.name) != field.default


def as_settings(config: Train) -> dict[str, Any]:
    """The configuration as config.json holds it: all that the run depends on, and nothing of where
    it is.
    """
    held = asdict(config)
    return {k: str(v) if isinstance(v, Path) else v for k, v in held.items() if k not in _OF_A_CALL}


def from_settings(settings: Mapping[str, Any], folder: Path) -> Train:
    """The configuration of a run in a folder, from what ``as_settings`` made of it.

    Raises:
      ValueError: settings that this version does not know, or does not find.
    """
    known = {field.name for field in fields(Train)} - set(_OF_A_CALL)
    wrong = known ^ set(settings) | {
        name for name in ("optimizer", "learning_rate") if not isinstance(settings.get(name), list)
    }
    if wrong:
        told = ", ".join(sorted(wrong))
        raise ValueError(
            f"{folder} was made by another version of jaxalign, with other settings: {told}; train anew"
        )
    held: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    if held["data"] is not None:
        held["data"] = Path(held["data"])
    return Train(**held, out=folder)


def build_models(config: Train, images: Dataset) -> list[MLP]:
    """The networks, all seeds of one variant after those of another: one logit for two classes, one
    a class for more.
    """
    classes = len(images.class_names)
    return [
        MLP(
            inputs=images.inputs[0].size,
            widths=(config.width,) * config.depth,
            outputs=1 if classes == 2 else classes,
            activation=ACTIVATIONS[config.activation],
            rngs=nnx.Rngs(seed),
        )
        for seed in seeds_of(config)
    ]


def seeds_of(config: Train) -> list[int]:
    """The seed of each network."""
    return list(range(config.seed, config.seed + config.seeds)) * len(config.variants)


def optimizer_of(config: Train) -> tuple[Any, Any]:
    """Optimizer and hyperparameters of ``fit``; of several networks the optimizer is a function of
    each one's own.
    """
    each = [OPTIMIZERS[name] for name in config.optimizer]
    if config.models == 1:
        return each[0](config.learning_rate[0]), None
    variants = [variant for variant in config.variants for _ in range(config.seeds)]
    rates = np.array([variant.rate for variant in variants], np.float32)
    if len(each) == 1:
        return each[0], rates
    numbers = np.array([config.optimizer.index(variant.optimizer) for variant in variants])
    return lambda own: one_of([made(own["rate"]) for made in each])(own["number"]), {
        "number": numbers,
        "rate": rates,
    }


def describe(config: Train, images: Dataset, variant: Variant) -> dict[str, str]:
    """The recipe for people: what, in a few words each."""
    names = images.class_names
    seeds = (
        f"seed {config.seed}"
        if config.seeds == 1
        else f"seeds {config.seed} to {config.seed + config.seeds - 1}"
    )
    return {
        "images": f"{len(images):,} images of {' and '.join(names) if len(names) == 2 else f'{len(names)} classes'}",
        "network": f"MLP {'-'.join([str(config.width)] * config.depth)}, {config.activation}",
        "optimizer": f"{variant.optimizer}, step size {variant.rate:g}, batch {config.batch_size}, {seeds}",
    }


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
