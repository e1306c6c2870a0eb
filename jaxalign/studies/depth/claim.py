"""More alignment arises from depth: the paper's claim, as far as it could be read.

ReLU networks of one width and 1 to 8 hidden layers, all else equal: data, optimizer, step size,
order of samples, number of steps. The optimizer is Adam, whose steps do not shrink with the
gradients of deep networks. The last hidden layer decides, by its area share ∫A dτ/(‖y‖²√n). The
deciding effect is the rank correlation of depth and share, among the networks of one seed. A cell
is one step of a data set from a depth to the next: the share gained, paired over seeds. Nulls: the
same networks untrained, in which it falls, and trained on random labels. The mean over all hidden
layers is in the notes. The table has the loss by depth, and a depth that hardly trains is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import jax
import numpy as np
import optax
from pandas import DataFrame

from jaxalign.statistics import mean_interval
from jaxalign.studies.depth.figure import figure
from jaxalign.studies.depth.table import by_depth, hidden_layers, last_layer
from jaxalign.studies.framework.study import Cell, Row, Study
from jaxalign.studies.framework.verdict import Verdict, judged
from jaxalign.studies.shared.networks import mlp
from jaxalign.studies.shared.problems import DIGITS, FASHION, problem_named, relabelled
from jaxalign.studies.shared.ranks import rank_correlation
from jaxalign.studies.shared.seeds import train_seeds

REAL = "real"
RANDOM = "random"


@dataclass(frozen=True)
class Config:
    """The design."""

    problems: tuple[str, ...] = (FASHION, DIGITS)
    """Pullover against coat; digits even against odd."""
    labels: tuple[str, ...] = (REAL, RANDOM)
    """Random labels are the real ones in another order."""
    depths: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    """Hidden layers, rising."""
    width: int = 64
    seeds: int = 10
    num_samples: int = 256
    """Of training, all measured."""
    side: int = 8
    """Pixels of Fashion-MNIST's images, which have 28."""
    steps: int = 200
    step_size: float = 1e-3
    """Of Adam."""
    batch_size: int = 32
    learned: float = 0.8
    """A depth has learned if its training loss, over its last tenth, is under this share of its
    first.
    """
    level: float = 0.05
    """The probability that any cell is judged wrong by chance."""


def cells(config: Config) -> list[Cell]:
    """Data set × labels × depth."""
    return [
        {"problem": problem, "labels": labels, "depth": depth}
        for problem in config.problems
        for labels in config.labels
        for depth in config.depths
    ]


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per seed and layer."""
    problem = problem_named(cell["problem"], config.num_samples, config.side)
    if cell["labels"] != REAL:
        problem = relabelled(problem, seed=0)
    trained = train_seeds(
        mlp("ReLU MLP", jax.nn.relu, (config.width,) * int(cell["depth"])),
        problem,
        optax.adam(config.step_size),
        seeds=range(config.seeds),
        steps=config.steps,
        batch_size=config.batch_size,
    )
    largest = trained.total * np.sqrt(len(problem.inputs))
    return [
        {
            **cell,
            "seed": seed,
            "layer": layer,
            "position": position,
            "untrained": float(values["area"][0, seed] / largest),
            "trained": float(values["area"][1, seed] / largest),
            "loss_start": float(trained.first_loss[seed]),
            "loss_end": float(trained.last_loss[seed]),
        }
        for position, (layer, values) in enumerate(trained.layers.items())
        for seed in range(config.seeds)
    ]


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether the last hidden layer's share rises with depth, on the whole and step by step."""
    last = last_layer(table[table["labels"] == REAL])
    shares = {
        problem: by_depth(last[last["problem"] == problem], "trained")
        for problem in config.problems
    }
    gains = {
        f"{problem}, from depth {a} to {b}": partial(
            mean_interval, share[:, i + 1] - share[:, i], within=(-1, 1)
        )
        for problem, share in shares.items()
        for i, (a, b) in enumerate(pairwise(config.depths))
    }
    # The effect is per seed, so that its interval is over independent networks.
    correlations = [rank_correlations(share, config.depths) for share in shares.values()]
    return Verdict(
        mean_interval(np.mean(correlations, axis=0), within=(-1, 1)),
        "rank correlation of depth and the last hidden layer's area over ‖y‖²√n, mean of data sets",
        "seeds, with a network of each at every depth",
        judged(gains, level=config.level),
        tuple(
            note
            for problem in config.problems
            for note in _notes(config, table[table["problem"] == problem], problem)
        ),
    )


def rank_correlations(share: np.ndarray, depths: Sequence[int]) -> np.ndarray:
    """(seeds,) Spearman's ρ of depth and share (seeds, depths)."""
    return np.array([rank_correlation(depths, of_seed) for of_seed in share])


def _notes(config: Config, table: DataFrame, problem: str) -> list[str]:
    def means(share):
        return ", ".join(f"{mean:.2f}" for mean in share.mean(axis=0))

    def trend(share):
        rho = rank_correlations(share, config.depths).mean()
        return f"{means(share)} (rank correlation {rho:.2f})"

    real = table[table["labels"] == REAL]
    depths = ", ".join(map(str, config.depths))
    last = last_layer(real)
    notes = [
        f"{problem}, depths {depths}: last hidden layer {means(by_depth(last, 'trained'))}",
        f"{problem}: the same untrained {trend(by_depth(last, 'untrained'))}",
        f"{problem}: mean of all hidden layers {trend(by_depth(hidden_layers(real), 'trained'))}",
    ]
    for labels in config.labels:
        part = table[table["labels"] == labels]
        if labels != REAL:
            share = by_depth(last_layer(part), "trained")
            notes.append(f"{problem}: last hidden layer, {labels} labels {trend(share)}")
        if slow := _slow_depths(config, part):
            notes.append(
                f"{problem}, {labels} labels: hardly learned at depth {', '.join(slow)} "
                "of the first loss"
            )
    return notes


def _slow_depths(config: Config, table: DataFrame) -> list[str]:
    """The depths that hardly learned, each with its last loss as a share of the first."""
    start = by_depth(table, "loss_start").mean(axis=0)
    end = by_depth(table, "loss_end").mean(axis=0)
    # A diverged network's share is NaN, which is not under the limit.
    return [
        f"{depth} ({share:.0%})"
        for depth, share in zip(config.depths, end / start, strict=True)
        if not share < config.learned
    ]


STUDY = Study(
    name="depth",
    claim="Deeper networks align their last hidden layer more with the targets.",
    source="the paper's",
    comparison="ours: networks of 1 to 8 hidden layers after the same number of steps",
    sizes={
        "small": Config(),
        "medium": Config(seeds=20),
        "paper": Config(
            depths=tuple(range(1, 9)),
            width=128,
            seeds=20,
            num_samples=1000,
            side=28,
            steps=1000,
            batch_size=64,
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
