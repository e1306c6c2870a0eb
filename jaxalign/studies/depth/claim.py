"""More alignment arises from depth: the paper's claim (as far as it could be read).

ReLU networks of one width and 1 to 8 hidden layers, all else equal: data, optimizer, step size,
order of samples, number of steps; Adam, for its steps do not shrink with the gradients of deep
networks. The last hidden layer decides. The claim is met on a data set if its area share ∫A
dτ/(‖y‖²√n) rises with depth (Page's trend test over seeds, Holm over data sets) and falls
significantly from no depth to the next. Nulls: the same networks untrained, where it falls, and
trained on random labels. The mean over all hidden layers is in the notes. Loss by depth is in the
table: a depth that hardly trains is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
import optax
from scipy import stats

from jaxalign._features import INPUT, encode_targets
from jaxalign.statistics import holm, mean_interval, page_trend, paired_effect
from jaxalign.studies.depth.figure import figure
from jaxalign.studies.framework.study import Cell, Row, Study, Verdict, column, distinct, where
from jaxalign.studies.shared.networks import mlp
from jaxalign.studies.shared.problems import DIGITS, FASHION, Problem, problem_named
from jaxalign.studies.shared.seeds import train_seeds

REAL, RANDOM = "real", "random"


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
    samples: int = 256
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
    """Of significance, after Holm's correction."""


def cells(config: Config) -> list[Cell]:
    """Data set × labels × depth."""
    return [
        {"problem": problem, "labels": labels, "depth": depth}
        for problem in config.problems
        for labels in config.labels
        for depth in config.depths
    ]


def measure(config: Config, cell: Cell) -> list[Row]:
    """A row for each seed and layer."""
    depth, problem = int(cell["depth"]), _problem(config, cell)
    history = train_seeds(
        mlp("ReLU MLP", jax.nn.relu, (config.width,) * depth),
        problem,
        optax.adam(config.step_size),
        seeds=range(config.seeds),
        steps=config.steps,
        batch_size=config.batch_size,
    )
    whole = history.total * np.sqrt(len(problem.inputs))
    end = history.loss[-max(config.steps // 10, 1) :].mean(axis=0)
    return [
        {
            **cell,
            "seed": seed,
            "layer": layer,
            "position": position,
            "untrained": float(record.area[0, seed] / whole),
            "trained": float(record.area[1, seed] / whole),
            "loss_start": float(history.loss[0, seed]),
            "loss_end": float(end[seed]),
        }
        for position, (layer, record) in enumerate(history.layers.items())
        for seed in range(config.seeds)
    ]


def verdict(config: Config, rows: Sequence[Row]) -> Verdict:
    """Whether the last hidden layer's share rises with depth on every data set."""
    real = where(rows, {"labels": REAL})
    tables = {
        problem: last_layers(where(real, {"problem": problem}), "trained")
        for problem in config.problems
    }
    trends = dict(
        zip(tables, holm([page_trend(table).p for table in tables.values()]), strict=True)
    )
    falls = [fall for problem, table in tables.items() for fall in _falls(config, problem, table)]
    flat = [
        f"{problem}: no trend (Page, Holm p = {p:.2g})"
        for problem, p in trends.items()
        if p > config.level
    ]
    failing = [*flat, *falls]
    return Verdict(
        "does not hold" if len(flat) == len(tables) else "holds in part" if failing else "holds",
        mean_interval(
            np.mean([by_seed(table, config.depths) for table in tables.values()], axis=0)
        ),
        "rank correlation of depth and the last hidden layer's area over ‖y‖²√n, mean of data sets over seeds",
        failing,
        len(tables) * len(config.depths),
        tuple(
            note
            for problem in config.problems
            for note in _notes(config, where(rows, {"problem": problem}), problem)
        ),
    )


def last_layers(rows: Sequence[Row], state: str) -> np.ndarray:
    """(seeds, depths): the share of the last hidden layer, "untrained" or "trained"."""
    return _table([row for row in rows if row["position"] == row["depth"]], state)


def whole_networks(rows: Sequence[Row], state: str) -> np.ndarray:
    """(seeds, depths): the mean share of all hidden layers."""
    return _table([row for row in rows if row["layer"] != INPUT], state)


def by_seed(table: np.ndarray, depths: Sequence[int]) -> np.ndarray:
    """(seeds,) Spearman's ρ of depth and share."""
    return np.array([stats.spearmanr(depths, shares).statistic for shares in table])


def _table(rows: Sequence[Row], state: str) -> np.ndarray:
    """(seeds, depths): the mean of the layers there are."""
    depths, seeds = (distinct(rows, name) for name in ("depth", "seed"))

    def mean(seed, depth):
        return np.mean(column(where(rows, {"seed": seed, "depth": depth}), state))

    return np.array([[mean(seed, depth) for depth in depths] for seed in seeds])


def _falls(config: Config, problem: str, table: np.ndarray) -> list[str]:
    """The steps from one depth to the next at which the share falls significantly, in words."""
    steps = [
        paired_effect(after, before)
        for before, after in zip(table.T[:-1], table.T[1:], strict=True)
    ]
    return [
        f"{problem}: falls from depth {a} to {b} by {-step.difference.value:.2g} (Holm p = {p:.2g})"
        for a, b, step, p in zip(
            config.depths[:-1],
            config.depths[1:],
            steps,
            holm([one.p for one in steps]),
            strict=True,
        )
        if step.difference.value < 0 and p <= config.level
    ]


def _notes(config: Config, rows: Sequence[Row], problem: str) -> list[str]:
    real = where(rows, {"labels": REAL})

    def told(table):
        return ", ".join(f"{share:.2f}" for share in table.mean(axis=0))

    def trend(table):
        return f"{told(table)} (rank correlation {by_seed(table, config.depths).mean():.2f})"

    depths = ", ".join(map(str, config.depths))
    notes = [
        f"{problem}, depths {depths}: last hidden layer {told(last_layers(real, 'trained'))}",
        f"{problem}: the same untrained {trend(last_layers(real, 'untrained'))}",
        f"{problem}: mean of all hidden layers {trend(whole_networks(real, 'trained'))}",
    ]
    for labels in config.labels:
        part = where(rows, {"labels": labels})
        if labels != REAL:
            notes.append(
                f"{problem}: last hidden layer, {labels} labels {trend(last_layers(part, 'trained'))}"
            )
        loss = _table(part, "loss_end").mean(axis=0) / _table(part, "loss_start").mean(axis=0)
        slow = [
            f"{depth} ({share:.0%})"
            for depth, share in zip(config.depths, loss, strict=True)
            if not share < config.learned
        ]
        if slow:
            notes.append(
                f"{problem}, {labels} labels: hardly learned at depth {', '.join(slow)} of the first loss"
            )
    return notes


def _problem(config: Config, cell: Cell) -> Problem:
    problem = problem_named(cell["problem"], config.samples, config.side)
    if cell["labels"] == REAL:
        return problem
    labels = np.random.default_rng(0).permutation(problem.labels)
    return problem._replace(
        labels=labels, targets=np.asarray(encode_targets(labels, classes=(0, 1)))
    )


STUDY = Study(
    name="depth",
    claim="Deeper networks align their last hidden layer more with the targets.",
    source="Imani, Hu, White, Representation Alignment in Neural Networks (TMLR 2022)",
    sizes={
        "small": Config(),
        "paper": Config(
            depths=tuple(range(1, 9)),
            width=128,
            seeds=20,
            samples=1000,
            side=28,
            steps=1000,
            batch_size=64,
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=lambda config, rows: figure(rows),
)
