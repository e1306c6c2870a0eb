"""The experiment of the authors' demo notebook: on CIFAR-10 if it is at hand, and on Fashion-MNIST.

The notebook says: classes 0 and 1 of CIFAR-10, 500 images each, pixels (x − 0.5)/0.5; an MLP
3072-128-128-128-1, ReLU, hidden layers without bias; binary cross-entropy; Adam 1e-3, batches of
64, 100 epochs; the alignment of the post-activations on the training images. Its figure was read to
±10 of 1000: ``READ``. CIFAR-10 does not come with the package (``shared.outside``). If it is at
hand, it is measured too and compared with the figure. The same recipe on 500 pullovers and 500
coats of Fashion-MNIST is always run. It cannot give the figure's values, so it is compared in shape
alone, in words, and with its own untrained networks and with chance.

Our choices are the initial weights (LeCun normal; the notebook's were not read), batches that run
across the end of an epoch (1563 of them are 100 epochs), and five seeds; the figure shows one run.

A cell is a τ of the table: the last hidden layer's alignment less that of the untrained network, or
of random targets. On CIFAR-10 a cell is also each value of the figure: whether a new run of ours is
within 10 of 1000 of it.
"""

from dataclasses import dataclass

import jax
import numpy as np
import optax
from pandas import DataFrame

from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment import isotropic_null
from jaxalign.studies.demo.figure import figure
from jaxalign.studies.demo.published import CIFAR, TAU
from jaxalign.studies.demo.verdict import verdict_of
from jaxalign.studies.framework.study import Cell, Row, Study
from jaxalign.studies.framework.verdict import Verdict
from jaxalign.studies.shared.networks import mlp
from jaxalign.studies.shared.outside import CIFAR10, FOLDER, is_there, path_of
from jaxalign.studies.shared.problems import Problem, cifar_pair, fashion_pair
from jaxalign.studies.shared.seeds import curve, train_seeds

FASHION = "Fashion-MNIST"


@dataclass(frozen=True)
class Config:
    """The recipe."""

    seeds: int = 5
    """Networks, each with its own weights and order of samples."""
    num_samples: int = 1000
    """Images, classes balanced."""
    steps: int = 1563
    """Updates: 100 epochs of 1000 images in batches of 64."""
    width: int = 128
    """Units of each of the three hidden layers."""


def cells(config: Config) -> list[Cell]:
    """Fashion-MNIST; and CIFAR-10, if it is at hand."""
    if is_there(CIFAR10):
        return [{"data": FASHION}, {"data": CIFAR}]
    return [{"data": FASHION}]


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per seed, layer and τ: the shares A(τ)/‖y‖², trained, untrained and by chance.

    The thresholds are those of the table and 62 on [0, 30].
    """
    problem = _problem(str(cell["data"]), config.num_samples)
    grid = np.union1d(np.linspace(0, 30, 62), TAU)
    curve_on_grid = curve(grid)

    def chance(spectrum: Spectrum) -> jax.Array:
        return curve_on_grid(isotropic_null(spectrum))

    trained = train_seeds(
        mlp("ReLU MLP", jax.nn.relu, (config.width,) * 3),
        problem,
        optax.adam(1e-3),
        seeds=range(config.seeds),
        steps=config.steps,
        measures={"curve": curve_on_grid, "chance": chance},
    )
    rows: list[Row] = []
    for layer, values in trained.layers.items():
        # (2, seeds, thresholds), before and after training.
        shares = values["curve"] / trained.total
        null = values["chance"] / trained.total
        rows += [
            {
                **cell,
                "seed": seed,
                "layer": layer,
                "tau": float(tau),
                "trained": float(shares[1, seed, j]),
                "untrained": float(shares[0, seed, j]),
                "chance_trained": float(null[1, seed, j]),
                "chance_untrained": float(null[0, seed, j]),
            }
            for seed in range(config.seeds)
            for j, tau in enumerate(grid)
        ]
    return rows


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether training aligns the last hidden layer, and CIFAR-10 gives the figure's values."""
    missing = (
        "CIFAR-10 was not at hand, so the values of the authors' figure were not tested; "
        f"{FOLDER} names the folder of {CIFAR10.path}."
    )
    return verdict_of(table, missing)


def _problem(data: str, n: int) -> Problem:
    if data == FASHION:
        return fashion_pair(2, 4, n)
    return cifar_pair(0, 1, n, path_of(CIFAR10))


STUDY = Study(
    name="demo",
    claim="Training brings the labels into the top singular directions of the last hidden layer, "
    "as the authors' demo shows it.",
    source="that of the authors' demo notebook",
    comparison="the notebook's on CIFAR-10; on Fashion-MNIST and with untrained networks ours",
    sizes={"small": Config(), "medium": Config(seeds=10), "paper": Config(seeds=20)},
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
