"""Alignment rises with training, across architectures and optimizers.

This is the paper's claim, as far as it could be read. Every architecture is trained by every
optimizer on every data set that it takes, with several seeds. The last hidden layer decides, which
is what the linear head reads; the table has all layers. The effect in a cell (architecture ×
optimizer × data set) is the rise of the area ∫A dτ in training, as a share of its maximum ‖y‖²√n,
mean over networks. Networks that hardly learned
say nothing about training, so their cells are named and left out, also if one seed diverged. The
training samples are measured. The sizes of the networks and the step sizes are our choices.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import optax
from pandas import DataFrame

from jaxalign._features import INPUT
from jaxalign.statistics import mean_interval
from jaxalign.studies.emergence.figure import figure
from jaxalign.studies.framework.study import Cell, Row, Study
from jaxalign.studies.framework.verdict import Judged, Verdict, judged
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
    """The probability that any cell is judged wrong by chance."""


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
    after = by_seed(last, "trained")[learned]
    rises = after - by_seed(last, "untrained")[learned]
    over_inputs = after - by_seed(table[table["layer"] == INPUT], "trained")[learned]
    return Verdict(
        mean_interval(rises.mean(axis=1), within=(-1, 1)),
        "area of the last hidden layer, ∫A dτ over ‖y‖²√n, trained − untrained, mean of cells",
        "seeds, with a network of each in every cell",
        _judged(rises, config.level),
        (
            *_of_rises(rises),
            *_of_inputs(_judged(over_inputs, config.level)),
            *(
                f"did not learn, left out: {' · '.join(levels)} ({_described(loss)})"
                for levels, loss in losses.items()
                if levels not in learned
            ),
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


def _judged(gains: DataFrame, level: float) -> list[Judged]:
    """The cells, columns of gains by seed."""
    effects = {
        " · ".join(levels): partial(mean_interval, gains[levels].to_numpy(), within=(-1, 1))
        for levels in gains
    }
    return judged(effects, level=level)


def _of_rises(rises: DataFrame) -> list[str]:
    standardized = rises.mean() / rises.std()
    return [
        f"smallest rise of a cell {rises.mean().min():.2g}, smallest d_z {standardized.min():.2g}"
    ]


def _of_inputs(cells: list[Judged]) -> list[str]:
    """How the last hidden layer compares with the inputs."""
    above = [cell for cell in cells if cell.outcome == "supported"]
    below = [cell.name for cell in cells if cell.outcome == "contradicted"]
    notes = [f"above the inputs, after the same correction, in {len(above)} of {len(cells)} cells"]
    if below:
        notes.append(f"below the inputs in {len(below)}: {'; '.join(below)}")
    return notes


def _described(loss: float) -> str:
    if np.isfinite(loss):
        return f"loss {loss:.0%} of its first"
    return "a seed diverged"


STUDY = Study(
    name="emergence",
    claim="Training aligns the top singular directions of hidden representations with the "
    "targets, whatever the architecture and the optimizer.",
    source="the paper's",
    comparison="ours: trained against untrained, in this design of networks and data sets",
    sizes={
        "small": Config(),
        "medium": Config(seeds=10),
        "paper": Config(seeds=10, num_samples=1000, side=28, steps=1000, batch_size=64),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
