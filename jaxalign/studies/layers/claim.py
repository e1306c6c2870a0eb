"""Layers closer to the output are more aligned: the paper's claim (as far as it could be read).

Networks of at least four layers are trained, each with several seeds. Within each network,
Spearman's ρ of a layer's position and its area share ∫A dτ/(‖y‖²√n), inputs left out. A cell
(architecture × data set) meets the claim if areas rise with position after training (Page's trend
test over seeds, Holm over cells). Null: the same networks untrained. An area can hide that curves
cross: the notes and the figure give the thresholds τ/√n at which every layer lies at or over the
one before it, in the mean over seeds, up to where less than ``seen`` of the targets are left in the
last layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
import optax

from jaxalign.models import CNN
from jaxalign.statistics import holm, mean_interval, page_trend
from jaxalign.studies.framework.study import Cell, Row, Study, Verdict, column, outcome, where
from jaxalign.studies.layers.figure import figure
from jaxalign.studies.layers.table import (
    CURVE,
    areas,
    by_seed,
    deeper_is_higher,
    mean_curves,
    ranges,
)
from jaxalign.studies.shared.networks import (
    RESIDUAL,
    TRANSFORMER,
    Architecture,
    architecture_named,
    mlp,
)
from jaxalign.studies.shared.problems import DIGITS, FASHION, problem_named
from jaxalign.studies.shared.seeds import train_seeds

DEEP_CNN = Architecture(
    "CNN",
    images=True,
    build=lambda problem, rngs: CNN(problem.inputs.shape[1:], (8, 16, 32), 64, 1, rngs=rngs),
)
DEEP = (mlp("ReLU MLP", jax.nn.relu, (64,) * 5), DEEP_CNN, RESIDUAL, TRANSFORMER)


@dataclass(frozen=True)
class Config:
    """The design."""

    problems: tuple[str, ...] = (FASHION, DIGITS)
    """Pullover against coat; digits even against odd."""
    architectures: tuple[str, ...] = tuple(one.name for one in DEEP)
    seeds: int = 6
    samples: int = 256
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
    """Of significance, after Holm's correction."""


def cells(config: Config) -> list[Cell]:
    """Architecture × data set."""
    return [
        {"architecture": name, "problem": problem}
        for problem in config.problems
        for name in config.architectures
    ]


def measure(config: Config, cell: Cell) -> list[Row]:
    """A row for each seed and layer, with the trained layer's curve."""
    architecture = architecture_named(cell["architecture"], DEEP)
    problem = problem_named(cell["problem"], config.samples, config.side)
    history = train_seeds(
        architecture,
        problem,
        optax.adam(config.step_size),
        seeds=range(config.seeds),
        steps=config.steps,
        batch_size=config.batch_size,
    )
    total, side = history.total, np.sqrt(len(problem.inputs))
    end = history.loss[-max(config.steps // 10, 1) :].mean(axis=0)
    return [
        {
            **cell,
            "seed": seed,
            "layer": layer,
            "position": position,
            "untrained": float(record.area[0, seed] / total / side),
            "trained": float(record.area[1, seed] / total / side),
            "loss_start": float(history.loss[0, seed]),
            "loss_end": float(end[seed]),
            **{
                f"{CURVE}{tau / side:.4f}": float(share)
                for tau, share in zip(history.grid, record.curve[1, seed] / total, strict=True)
            },
        }
        for position, (layer, record) in enumerate(history.layers.items())
        for seed in range(config.seeds)
    ]


def verdict(config: Config, rows: Sequence[Row]) -> Verdict:
    """Whether areas rise with position in every cell."""
    parts = {
        f"{cell['architecture']} · {cell['problem']}": where(rows, cell) for cell in cells(config)
    }
    adjusted = holm([page_trend(areas(part, "trained")).p for part in parts.values()])
    failing = [
        f"{name} (Page, Holm p = {p:.2g})"
        for name, p in zip(parts, adjusted, strict=True)
        if p > config.level
    ]

    def rho(state):
        return mean_interval(np.mean([by_seed(part, state) for part in parts.values()], axis=0))

    null = rho("untrained")
    return Verdict(
        outcome(failing, len(parts)),
        rho("trained"),
        "rank correlation of a layer's position and its area within a trained network, mean of cells over seeds",
        failing,
        len(parts),
        (
            f"the same networks untrained: {null.value:.2f} [{null.low:.2f}, {null.high:.2f}]",
            *(f"{name}: {_note(config, part)}" for name, part in parts.items()),
        ),
    )


def _note(config: Config, rows: Sequence[Row]) -> str:
    tau, curves = mean_curves(rows)
    tau, curves = (
        tau[1:],
        curves[1:, 1:],
    )  # without the inputs, and without τ = 0, where all are ‖y‖²
    holds, seen = deeper_is_higher(curves, config.seen), curves[-1] >= config.seen
    loss = np.mean(column(rows, "loss_end")) / np.mean(column(rows, "loss_start"))
    return (
        f"ρ trained {by_seed(rows, 'trained').mean():.2f}, untrained {by_seed(rows, 'untrained').mean():.2f}; "
        f"every layer over the one before at τ/√n {ranges(tau, holds)}, in {holds.sum() / max(seen.sum(), 1):.0%} "
        f"of those up to {tau[seen].max(initial=0):.2f}; loss {loss:.0%} of its first"
    )


STUDY = Study(
    name="layers",
    claim="Within a trained network, layers closer to the output are more aligned with the targets.",
    source="Imani, Hu, White, Representation Alignment in Neural Networks (TMLR 2022)",
    sizes={
        "small": Config(problems=(DIGITS,)),
        "paper": Config(seeds=20, samples=1000, side=28, steps=1000, step_size=1e-3, batch_size=64),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=lambda config, rows: figure(rows, config.seen),
)
