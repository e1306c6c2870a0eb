"""Layers closer to the output are more aligned: the paper's claim, as far as it could be read.

Networks of at least four layers are trained, each with several seeds. Of a ResNet and a transformer
these are the blocks: a stem or a closing norm is no step towards the output of their kind. Within
each network, Spearman's ρ is taken of a layer's position and its area share ∫A dτ/(‖y‖²√n), without
the inputs. The effect in a cell (architecture × data set) is the mean ρ of its trained networks.
Null: the same networks untrained. The samples trained on decide; a note says what comes out on
others. Areas can hide that curves cross. So the notes and the figure give the thresholds τ/√n at
which no layer lies below the one before it, in the mean over seeds, up to where less than ``seen``
of the targets are left in the last layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
import optax
from pandas import DataFrame

from jaxalign._spectrum.types import Spectrum
from jaxalign.statistics import Estimate, mean_interval
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
from jaxalign.studies.shared.held_out import HELD_OUT, ROWS, TRAINED_ON, held_out_note, part
from jaxalign.studies.shared.networks import RESIDUAL, architecture_named, cnn, mlp, transformer
from jaxalign.studies.shared.outside import left_out
from jaxalign.studies.shared.problems import (
    CIFAR10,
    DIGITS,
    FASHION,
    OUTSIDE,
    at_hand,
    parts_named,
)
from jaxalign.studies.shared.seeds import curve, share, train_seeds

DEEP = (
    mlp("ReLU MLP", jax.nn.relu, (64,) * 5),
    cnn((8, 16, 32)),
    RESIDUAL._replace(layers="layer[1-4].[0-9]"),
    transformer(4, layers="encoder.layers.encoder_layer_?"),
)
GRID = 64
"""Thresholds of a curve, evenly spaced on [0, √n]."""


@dataclass(frozen=True)
class Config:
    """The design."""

    problems: tuple[str, ...] = (FASHION, DIGITS, CIFAR10.name)
    """Pullover against coat; digits even against odd; airplane against automobile, if at hand."""
    architectures: tuple[str, ...] = tuple(one.name for one in DEEP)
    seeds: int = 6
    num_samples: int = 256
    """Of training, all measured; as many are held out."""
    side: int = 8
    """Pixels of the images of Fashion-MNIST (28) and CIFAR-10 (32)."""
    steps: int = 300
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
        for problem in at_hand(config.problems)
        for name in config.architectures
    ]


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per seed and layer, with the trained layer's curve, on the samples trained on and on
    those held out.
    """
    parts = parts_named(cell["problem"], config.num_samples, config.side)
    side = np.sqrt(len(parts.trained_on.inputs))
    thresholds = np.linspace(0, side, GRID)
    at_thresholds = curve(thresholds)

    def curve_share(spectrum: Spectrum) -> jax.Array:
        return at_thresholds(spectrum) / spectrum.total[0]

    trained = train_seeds(
        architecture_named(cell["architecture"], DEEP),
        parts.trained_on,
        optax.adam(config.step_size),
        seeds=range(config.seeds),
        steps=config.steps,
        batch_size=config.batch_size,
        measures={"share": share, "curve": curve_share},
        held_out=parts.held_out,
    )
    names = [f"{CURVE}{tau / side:.4f}" for tau in thresholds]
    return [
        {
            **cell,
            ROWS: rows,
            "seed": seed,
            "layer": layer,
            "position": position,
            "untrained": float(values["share"][0, seed]),
            "trained": float(values["share"][1, seed]),
            "loss_end": float(trained.last_loss[seed]),
            "loss_constant": parts.trained_on.constant_loss,
            **dict(zip(names, values["curve"][1, seed].tolist(), strict=True)),
        }
        for rows, layers in trained.by_rows.items()
        for position, (layer, values) in enumerate(layers.items())
        for seed in range(config.seeds)
    ]


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether areas rise with position in every cell."""
    known = _by_cell(part(table, TRAINED_ON))
    held_out = _by_cell(part(table, HELD_OUT))
    null = _mean_correlation(known, "untrained")
    outside = [source for source in OUTSIDE if source.name in config.problems]
    return _judged_on(config, known)._replace(
        notes=(
            held_out_note(_judged_on(config, held_out)),
            f"the same networks untrained: {null.value:.2f} [{null.low:.2f}, {null.high:.2f}]",
            *(f"{name}: {_note(config, cell, held_out[name])}" for name, cell in known.items()),
            *left_out(table["problem"].unique(), outside),
        )
    )


def _by_cell(table: DataFrame) -> dict[str, DataFrame]:
    """Name of a cell → its rows of the table."""
    return {
        f"{architecture} · {problem}": cell
        for (architecture, problem), cell in table.groupby(["architecture", "problem"], sort=False)
    }


def _judged_on(config: Config, cells: Mapping[str, DataFrame]) -> Verdict:
    """The verdict on one part of the table, without notes."""
    correlations = {
        name: partial(mean_interval, rank_correlations(cell, "trained"), within=(-1, 1))
        for name, cell in cells.items()
    }
    return Verdict(
        _mean_correlation(cells, "trained"),
        "rank correlation of a layer's position and its area within a trained network, mean of "
        "cells",
        "seeds, with a network of each in every cell",
        judged(correlations, level=config.level),
    )


def _mean_correlation(cells: Mapping[str, DataFrame], state: str) -> Estimate:
    """The mean of all cells, over seeds."""
    by_cell = [rank_correlations(cell, state) for cell in cells.values()]
    return mean_interval(np.mean(by_cell, axis=0), within=(-1, 1))


def _note(config: Config, cell: DataFrame, held_out: DataFrame) -> str:
    thresholds, curves = mean_curves(cell)
    # Without τ = 0, where every curve is at ‖y‖², and without the inputs.
    thresholds = thresholds[1:]
    curves = curves[1:, 1:]
    holds = deeper_is_higher(curves, config.seen)
    seen = curves[-1] >= config.seen
    loss = cell["loss_end"].mean() / cell["loss_constant"].mean()
    trained = rank_correlations(cell, "trained").mean()
    untrained = rank_correlations(cell, "untrained").mean()
    on_others = rank_correlations(held_out, "trained").mean()
    return (
        f"ρ trained {trained:.2f}, untrained {untrained:.2f}, on held-out rows {on_others:.2f}; "
        f"every layer over the one before at τ/√n {ranges(thresholds, holds)}, "
        f"in {holds.sum() / max(seen.sum(), 1):.0%} "
        f"of those up to {thresholds[seen].max(initial=0):.2f}; loss {loss:.0%} of the best "
        "constant answer's"
    )


STUDY = Study(
    name="layers",
    claim="Within a trained network, layers closer to the output are more aligned with the "
    "targets.",
    source="the paper's",
    comparison="ours: the order of areas, which can hide that curves cross",
    sizes={
        "small": Config(),
        "medium": Config(seeds=10, num_samples=400, side=16),
        "paper": Config(
            seeds=20, num_samples=600, side=28, steps=1000, step_size=1e-3, batch_size=64
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
