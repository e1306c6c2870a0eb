"""Layers closer to the output are more aligned: the paper's claim, as far as it could be read.

Networks of at least four layers are trained, each with several seeds. Within each network,
Spearman's ρ is taken of a layer's position and its area share ∫A dτ/(‖y‖²√n), without the inputs.
The effect in a cell (architecture × data set) is the mean ρ of its trained networks. Null: the same
networks untrained. Areas can hide that curves cross. So the notes and the figure give the
thresholds τ/√n at which no layer lies below the one before it, in the mean over seeds, up to where
less than ``seen`` of the targets are left in the last layer.
"""

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
import optax
from pandas import DataFrame

from jaxalign.statistics import mean_interval
from jaxalign.studies.framework.study import Cell, Row, Study
from jaxalign.studies.framework.verdict import Verdict, judged
from jaxalign.studies.layers.figure import figure
from jaxalign.studies.layers.table import (
    CURVE,
    deeper_is_higher,
    mean_curves,
    ranges,
    rank_correlations,
)
from jaxalign.studies.shared.networks import RESIDUAL, TRANSFORMER, architecture_named, cnn, mlp
from jaxalign.studies.shared.problems import DIGITS, FASHION, problem_named
from jaxalign.studies.shared.seeds import area, curve, train_seeds

DEEP = (mlp("ReLU MLP", jax.nn.relu, (64,) * 5), cnn((8, 16, 32)), RESIDUAL, TRANSFORMER)
GRID = 64
"""Thresholds of a curve, evenly spaced on [0, √n]."""


@dataclass(frozen=True)
class Config:
    """The design."""

    problems: tuple[str, ...] = (FASHION, DIGITS)
    """Pullover against coat; digits even against odd."""
    architectures: tuple[str, ...] = tuple(one.name for one in DEEP)
    seeds: int = 6
    num_samples: int = 256
    """Of training, all measured."""
    side: int = 8
    """Pixels of Fashion-MNIST's images, which have 28."""
    steps: int = 60
    step_size: float = 3e-3
    """Of Adam."""
    batch_size: int = 32
    seen: float = 0.05
    """The smallest share of the targets, in the last layer, at which curves are compared."""
    level: float = 0.05
    """The probability that any cell is judged wrong by chance."""


def cells(config: Config) -> list[Cell]:
    """Architecture × data set."""
    return [
        {"architecture": name, "problem": problem}
        for problem in config.problems
        for name in config.architectures
    ]


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per seed and layer, with the trained layer's curve."""
    problem = problem_named(cell["problem"], config.num_samples, config.side)
    side = np.sqrt(len(problem.inputs))
    thresholds = np.linspace(0, side, GRID)
    trained = train_seeds(
        architecture_named(cell["architecture"], DEEP),
        problem,
        optax.adam(config.step_size),
        seeds=range(config.seeds),
        steps=config.steps,
        batch_size=config.batch_size,
        measures={"area": area, "curve": curve(thresholds)},
    )
    total = trained.total
    names = [f"{CURVE}{tau / side:.4f}" for tau in thresholds]
    return [
        {
            **cell,
            "seed": seed,
            "layer": layer,
            "position": position,
            "untrained": float(values["area"][0, seed] / total / side),
            "trained": float(values["area"][1, seed] / total / side),
            "loss_start": float(trained.first_loss[seed]),
            "loss_end": float(trained.last_loss[seed]),
            **dict(zip(names, (values["curve"][1, seed] / total).tolist(), strict=True)),
        }
        for position, (layer, values) in enumerate(trained.layers.items())
        for seed in range(config.seeds)
    ]


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether areas rise with position in every cell."""
    parts = {
        f"{architecture} · {problem}": cell
        for (architecture, problem), cell in table.groupby(["architecture", "problem"], sort=False)
    }
    correlations = {
        name: partial(mean_interval, rank_correlations(cell, "trained"), within=(-1, 1))
        for name, cell in parts.items()
    }

    def mean_correlation(state):
        by_cell = [rank_correlations(cell, state) for cell in parts.values()]
        return mean_interval(np.mean(by_cell, axis=0), within=(-1, 1))

    null = mean_correlation("untrained")
    return Verdict(
        mean_correlation("trained"),
        "rank correlation of a layer's position and its area within a trained network, mean of "
        "cells",
        "seeds, with a network of each in every cell",
        judged(correlations, level=config.level),
        (
            f"the same networks untrained: {null.value:.2f} [{null.low:.2f}, {null.high:.2f}]",
            *(f"{name}: {_note(config, cell)}" for name, cell in parts.items()),
        ),
    )


def _note(config: Config, cell: DataFrame) -> str:
    thresholds, curves = mean_curves(cell)
    # Without τ = 0, where every curve is at ‖y‖², and without the inputs.
    thresholds = thresholds[1:]
    curves = curves[1:, 1:]
    holds = deeper_is_higher(curves, config.seen)
    seen = curves[-1] >= config.seen
    loss = cell["loss_end"].mean() / cell["loss_start"].mean()
    trained = rank_correlations(cell, "trained").mean()
    untrained = rank_correlations(cell, "untrained").mean()
    return (
        f"ρ trained {trained:.2f}, untrained {untrained:.2f}; "
        f"every layer over the one before at τ/√n {ranges(thresholds, holds)}, "
        f"in {holds.sum() / max(seen.sum(), 1):.0%} "
        f"of those up to {thresholds[seen].max(initial=0):.2f}; loss {loss:.0%} of its first"
    )


STUDY = Study(
    name="layers",
    claim="Within a trained network, layers closer to the output are more aligned with the "
    "targets.",
    source="the paper's",
    comparison="ours: the order of areas, which can hide that curves cross",
    sizes={
        "small": Config(problems=(DIGITS,)),
        "medium": Config(seeds=10),
        "paper": Config(
            seeds=20, num_samples=1000, side=28, steps=1000, step_size=1e-3, batch_size=64
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
