"""Alignment rises with training, across architectures and optimizers: the paper's claim (as far as
it could be read).

Every architecture is trained by every optimizer on every data set that it takes, with several
seeds. The last hidden layer decides, which is what the linear head reads; all layers are in the
table. A cell (architecture × optimizer × data set) meets the claim if the area ∫A dτ, as a share of
what it can be, ‖y‖²√n, is larger after training than before, paired over seeds, after Holm's
correction over all cells. Networks that hardly learned say nothing about training, so their cells
are named and left out, also where one seed diverged. Measured on training samples; choices of ours:
the networks' sizes, the step sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import optax

from jaxalign._features import INPUT
from jaxalign.statistics import Paired, holm, mean_interval, paired_effect
from jaxalign.studies.emergence.figure import figure
from jaxalign.studies.framework.study import (
    Cell,
    Row,
    Study,
    Verdict,
    column,
    distinct,
    outcome,
    where,
)
from jaxalign.studies.shared.networks import ARCHITECTURES, architecture_named
from jaxalign.studies.shared.problems import DIABETES, DIGITS, FASHION, problem_named
from jaxalign.studies.shared.seeds import train_seeds
from jaxalign.training import one_of

OPTIMIZERS = {
    "SGD": optax.sgd(0.1),
    "momentum": optax.sgd(0.03, momentum=0.9),
    "Adam": optax.adam(3e-3),
    "AdamW": optax.adamw(3e-3, weight_decay=0.03),
    "RMSprop": optax.rmsprop(2e-3),
    "Lion": optax.lion(1e-3),
}
"""One step size each, chosen for a loss that falls clearly on the digits; not tuned to a data set
or an architecture.
"""

FACTORS = ("architecture", "problem", "optimizer")


@dataclass(frozen=True)
class Config:
    """The design."""

    problems: tuple[str, ...] = (FASHION, DIGITS, DIABETES)
    """Pullover against coat, digits even against odd, the progression of diabetes; the last for
    networks of features alone.
    """
    architectures: tuple[str, ...] = tuple(one.name for one in ARCHITECTURES)
    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)
    seeds: int = 5
    samples: int = 256
    """Of training, all measured; diabetes has 442."""
    side: int = 8
    """Pixels of Fashion-MNIST's images, which have 28."""
    steps: int = 100
    batch_size: int = 32
    learned: float = 0.8
    """A cell has learned if its training loss, over its last tenth, is under this share of its
    first.
    """
    level: float = 0.05
    """Of significance, after Holm's correction."""


def cells(config: Config) -> list[Cell]:
    """Architecture × data set; the optimizers of one are trained as one program."""
    return [
        {"architecture": one.name, "problem": name}
        for name in config.problems
        for one in ARCHITECTURES
        if one.name in config.architectures and not (one.images and name == DIABETES)
    ]


def measure(config: Config, cell: Cell) -> list[Row]:
    """A row for each optimizer, seed and layer."""
    architecture = architecture_named(cell["architecture"], ARCHITECTURES)
    problem, count = (
        problem_named(cell["problem"], config.samples, config.side),
        len(config.optimizers),
    )
    history = train_seeds(
        architecture,
        problem,
        one_of([OPTIMIZERS[name] for name in config.optimizers]),
        hyperparameters=np.repeat(np.arange(count), config.seeds),
        seeds=[*range(config.seeds)] * count,
        steps=config.steps,
        batch_size=config.batch_size,
    )

    def by_seed(values):
        return np.asarray(values, float).reshape(*values.shape[:-1], count, config.seeds)

    shares = {
        name: by_seed(record.area / (history.total * np.sqrt(len(problem.inputs))))
        for name, record in history.layers.items()
    }
    start, end = (
        by_seed(history.loss[0]),
        by_seed(history.loss[-max(config.steps // 10, 1) :].mean(axis=0)),
    )
    return [
        {
            **cell,
            "optimizer": optimizer,
            "seed": seed,
            "layer": layer,
            "last": layer == list(shares)[-1],
            "untrained": float(share[0, i, seed]),
            "trained": float(share[1, i, seed]),
            "loss_start": float(start[i, seed]),
            "loss_end": float(end[i, seed]),
        }
        for layer, share in shares.items()
        for i, optimizer in enumerate(config.optimizers)
        for seed in range(config.seeds)
    ]


def verdict(config: Config, rows: Sequence[Row]) -> Verdict:
    """Whether the last hidden layer's share rises in every cell that learned."""
    losses = {
        factors: _loss(where(rows, factors_of(factors))) for factors in distinct(rows, *FACTORS)
    }
    learned = [
        factors for factors, loss in losses.items() if loss < config.learned
    ]  # NaN, of a diverged run, is not
    if not learned:
        raise ValueError(
            f"no network learned: no final loss is under {config.learned} of the first; take more steps"
        )
    inside = [_values(where(rows, factors_of(factors))) for factors in learned]
    rises = [paired_effect(one.trained, one.untrained) for one in inside]
    rising = _significant(rises, config.level)
    above = _significant([paired_effect(one.trained, one.inputs) for one in inside], config.level)

    def named(flags):
        return [
            " · ".join(factors) for factors, flag in zip(learned, flags, strict=True) if not flag
        ]

    def how(loss):
        return f"loss {loss:.0%} of its first" if np.isfinite(loss) else "a seed diverged"

    slow = [
        f"{' · '.join(one)} ({how(loss)})" for one, loss in losses.items() if one not in learned
    ]
    return Verdict(
        outcome(named(rising), len(learned)),
        mean_interval(np.mean([one.trained - one.untrained for one in inside], axis=0)),
        "area of the last hidden layer, ∫A dτ over ‖y‖²√n, trained − untrained, mean of cells over seeds",
        named(rising),
        len(learned),
        (
            f"smallest rise of a cell {min(one.difference.value for one in rises):.2g}, smallest d_z "
            f"{min(one.standardized for one in rises):.2g}",
            f"significantly over the inputs in {sum(above)} of {len(learned)} cells",
            *(f"not over its inputs: {name}" for name in named(above)),
            *(f"did not learn, left out: {name}" for name in slow),
        ),
    )


class Values(NamedTuple):
    """Of one cell, a value a seed: the last hidden layer's share before and after, and the inputs'."""

    untrained: np.ndarray
    trained: np.ndarray
    inputs: np.ndarray


def factors_of(levels: Sequence[str]) -> Cell:
    return dict(zip(FACTORS, levels, strict=True))


def _values(rows: Sequence[Row]) -> Values:
    last, inputs = where(rows, {"last": True}), where(rows, {"layer": INPUT})
    return Values(
        *(
            np.array(column(part, name))
            for part, name in ((last, "untrained"), (last, "trained"), (inputs, "trained"))
        )
    )


def _loss(rows: Sequence[Row]) -> float:
    """The last loss as a share of the first."""
    return float(np.mean(column(rows, "loss_end")) / np.mean(column(rows, "loss_start")))


def _significant(effects: Sequence[Paired], level: float) -> list[bool]:
    adjusted = holm([one.p for one in effects])
    return [
        one.difference.value > 0 and bool(p <= level)
        for one, p in zip(effects, adjusted, strict=True)
    ]


STUDY = Study(
    name="emergence",
    claim="Training aligns the top singular directions of hidden representations with the targets, whatever the architecture "
    "and the optimizer.",
    source="Imani, Hu, White, Representation Alignment in Neural Networks (TMLR 2022)",
    sizes={
        "small": Config(),
        "paper": Config(seeds=10, samples=1000, side=28, steps=1000, batch_size=64),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=lambda config, rows: figure(rows),
)
