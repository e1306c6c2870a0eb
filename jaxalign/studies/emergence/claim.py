"""Alignment rises with training, across architectures and optimizers.

This is the paper's claim, as far as it could be read. Every architecture is trained by every
optimizer on every data set that it takes, with several seeds. The last hidden layer decides, which
is what the linear head reads; the table has all layers. A cell (architecture × optimizer × data
set) meets the claim if the area ∫A dτ, as a share of its maximum ‖y‖²√n, is larger after training
than before, paired over seeds, after Holm's correction over all cells. Networks that hardly learned
say nothing about training, so their cells are named and left out, also if one seed diverged. The
training samples are measured. The sizes of the networks and the step sizes are our choices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optax
from pandas import DataFrame

from jaxalign._features import INPUT
from jaxalign.statistics import Paired, holm, mean_interval, paired_effect
from jaxalign.studies.emergence.figure import figure
from jaxalign.studies.framework.study import Cell, Row, Study, Verdict, outcome
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

FACTORS = ["architecture", "problem", "optimizer"]
Levels = tuple[str, ...]
"""Of one cell, in the order of ``FACTORS``."""


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
    num_samples: int = 256
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
    """One row per optimizer, seed and layer."""
    problem = problem_named(cell["problem"], config.num_samples, config.side)
    count = len(config.optimizers)
    trained = train_seeds(
        architecture_named(cell["architecture"], ARCHITECTURES),
        problem,
        one_of([OPTIMIZERS[name] for name in config.optimizers]),
        hyperparameters=np.repeat(np.arange(count), config.seeds),
        seeds=[*range(config.seeds)] * count,
        steps=config.steps,
        batch_size=config.batch_size,
    )

    # All networks are one axis of the program: here it is split into (optimizers, seeds).
    def by_optimizer(values):
        return np.asarray(values, float).reshape(*values.shape[:-1], count, config.seeds)

    largest = trained.total * np.sqrt(len(problem.inputs))
    start = by_optimizer(trained.first_loss)
    end = by_optimizer(trained.last_loss)
    rows: list[Row] = []
    for layer, values in trained.layers.items():
        share = by_optimizer(values["area"] / largest)
        rows += [
            {
                **cell,
                "optimizer": optimizer,
                "seed": seed,
                "layer": layer,
                "last": layer == next(reversed(trained.layers)),
                "untrained": float(share[0, i, seed]),
                "trained": float(share[1, i, seed]),
                "loss_start": float(start[i, seed]),
                "loss_end": float(end[i, seed]),
            }
            for i, optimizer in enumerate(config.optimizers)
            for seed in range(config.seeds)
        ]
    return rows


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether the last hidden layer's share rises in every cell that learned."""
    losses = relative_losses(table)
    # The loss of a diverged run is NaN, which is not under the limit.
    learned = [levels for levels, loss in losses.items() if loss < config.learned]
    if not learned:
        raise ValueError(
            f"no network learned: no final loss is under {config.learned} of the first; "
            "take more steps"
        )
    last = table[table["last"]]
    before = by_seed(last, "untrained")
    after = by_seed(last, "trained")
    inputs = by_seed(table[table["layer"] == INPUT], "trained")
    rises = [paired_effect(after[levels], before[levels]) for levels in learned]
    over_inputs = [paired_effect(after[levels], inputs[levels]) for levels in learned]
    failing = _names(learned, _significant(rises, config.level))
    not_over_inputs = _names(learned, _significant(over_inputs, config.level))
    slow = [
        f"{' · '.join(levels)} ({_described(loss)})"
        for levels, loss in losses.items()
        if levels not in learned
    ]
    return Verdict(
        outcome(failing, len(learned)),
        mean_interval((after - before)[learned].mean(axis=1)),
        "area of the last hidden layer, ∫A dτ over ‖y‖²√n, trained − untrained, mean of cells "
        "over seeds",
        failing,
        len(learned),
        (
            f"smallest rise of a cell {min(one.difference.value for one in rises):.2g}, "
            f"smallest d_z {min(one.standardized for one in rises):.2g}",
            f"significantly over the inputs in {len(learned) - len(not_over_inputs)} "
            f"of {len(learned)} cells",
            *(f"not over its inputs: {name}" for name in not_over_inputs),
            *(f"did not learn, left out: {name}" for name in slow),
        ),
    )


def relative_losses(table: DataFrame) -> dict[Levels, float]:
    """Levels of a cell → its last loss as a share of the first; NaN if a seed diverged."""
    # Means of numpy arrays, since those of pandas leave out NaN.
    return {
        levels: cell["loss_end"].to_numpy().mean() / cell["loss_start"].to_numpy().mean()
        for levels, cell in table.groupby(FACTORS, sort=False)
    }


def by_seed(table: DataFrame, value: str) -> DataFrame:
    """A value of one layer: a row per seed, a column per cell."""
    return table.pivot(index="seed", columns=FACTORS, values=value)


def _significant(effects: Sequence[Paired], level: float) -> list[bool]:
    """Whether each effect is positive and significant after the correction."""
    adjusted = holm([one.p for one in effects])
    return [
        one.difference.value > 0 and bool(p <= level)
        for one, p in zip(effects, adjusted, strict=True)
    ]


def _names(cells: Sequence[Levels], significant: Sequence[bool]) -> list[str]:
    """The cells without a significant effect, in words."""
    pairs = zip(cells, significant, strict=True)
    return [" · ".join(levels) for levels, flag in pairs if not flag]


def _described(loss: float) -> str:
    if np.isfinite(loss):
        return f"loss {loss:.0%} of its first"
    return "a seed diverged"


STUDY = Study(
    name="emergence",
    claim="Training aligns the top singular directions of hidden representations with the "
    "targets, whatever the architecture and the optimizer.",
    source="Imani, Hu, White, Representation Alignment in Neural Networks (TMLR 2022)",
    sizes={
        "small": Config(),
        "paper": Config(seeds=10, num_samples=1000, side=28, steps=1000, batch_size=64),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
