"""The experiment of the authors' demo notebook: on CIFAR-10 if it is at hand, and on Fashion-MNIST.

The notebook says: classes 0 and 1 of CIFAR-10, 500 images each, pixels (x − 0.5)/0.5; an MLP
3072-128-128-128-1, ReLU, hidden layers without bias, torch's initial weights; binary cross-entropy;
Adam 1e-3, batches of 64, 100 epochs; the alignment of the post-activations on the training images,
at 62 thresholds that the figure joins by straight lines. Its figure was read to ±10 of 1000:
``READ``. CIFAR-10 does not come with the package (``shared.outside``). If it is at hand, the
notebook's own images are measured (``authors_images``) and compared with the figure. The same
recipe on 500 pullovers and 500 coats of Fashion-MNIST is always run. It cannot give the figure's
values, so it is compared in shape alone, in words, and with its own untrained networks and with
chance.

Our choices are batches that run across the end of an epoch (the notebook's 1600 steps are 16 a
epoch, the last one of 40 images), and several seeds; the figure shows one run.

The scale of the initial weights is a factor of its own: multiples of torch's, and LeCun's, whose
standard deviation is √3 torch's. It is varied on CIFAR-10, or where that is missing on
Fashion-MNIST.
"""

from dataclasses import dataclass

import jax
import optax
from pandas import DataFrame

from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment import isotropic_null
from jaxalign.studies.demo.curves import INITIALIZATIONS, LECUN, TORCH
from jaxalign.studies.demo.figure import figure
from jaxalign.studies.demo.images import authors_images
from jaxalign.studies.demo.published import CIFAR, THRESHOLDS
from jaxalign.studies.demo.verdict import verdict_of
from jaxalign.studies.framework.study import Cell, Row, Study
from jaxalign.studies.framework.verdict import Verdict
from jaxalign.studies.shared.networks import mlp
from jaxalign.studies.shared.outside import CIFAR10, FOLDER, is_there, path_of
from jaxalign.studies.shared.problems import FASHION, Problem, fashion_pair
from jaxalign.studies.shared.seeds import curve, train_seeds


@dataclass(frozen=True)
class Config:
    """The recipe."""

    seeds: int = 5
    """Networks, each with its own weights and order of samples."""
    num_samples: int = 1000
    """Images, classes balanced."""
    steps: int = 1600
    """Updates: 100 epochs of 16 batches."""
    width: int = 128
    """Units of each of the three hidden layers."""
    other_scales: tuple[float, ...] = (0.25, 0.5, 2.0, 4.0)
    """Of torch's initial weights, beside 1."""
    seeds_of_others: int = 5
    """Networks with each of the other initial weights."""


def cells(config: Config) -> list[Cell]:
    """The notebook's recipe on both data sets; other initial weights on the last one at hand."""
    data = [FASHION, CIFAR] if is_there(CIFAR10) else [FASHION]
    recipe: list[Cell] = [{"data": name, "initialization": TORCH, "scale": 1.0} for name in data]
    starts = [(LECUN, 1.0), *((TORCH, scale) for scale in config.other_scales)]
    return recipe + [
        {"data": data[-1], "initialization": name, "scale": scale} for name, scale in starts
    ]


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per seed, layer and τ: the shares A(τ)/‖y‖², trained, untrained and by chance."""
    problem = _problem(str(cell["data"]), config.num_samples)
    scale = float(cell["scale"])
    initialization = INITIALIZATIONS[str(cell["initialization"])](scale)
    is_recipe = (cell["initialization"], scale) == (TORCH, 1.0)
    seeds = config.seeds if is_recipe else config.seeds_of_others
    at_thresholds = curve(THRESHOLDS)

    def chance(spectrum: Spectrum) -> jax.Array:
        return at_thresholds(isotropic_null(spectrum))

    trained = train_seeds(
        mlp("ReLU MLP", jax.nn.relu, (config.width,) * 3, initialization),
        problem,
        optax.adam(1e-3),
        seeds=range(seeds),
        steps=config.steps,
        measures={"curve": at_thresholds, "chance": chance},
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
                "chance": float(null[1, seed, j]),
            }
            for seed in range(seeds)
            for j, tau in enumerate(THRESHOLDS)
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
    return authors_images(n, path_of(CIFAR10))


STUDY = Study(
    name="demo",
    claim="Training brings the labels into the top singular directions of the last hidden layer, "
    "as the authors' demo shows it.",
    source="that of the authors' demo notebook",
    comparison="the notebook's images, network and initial weights on CIFAR-10; Fashion-MNIST, "
    "untrained networks and other initial weights ours",
    sizes={"small": Config(), "medium": Config(seeds=10), "paper": Config(seeds=20)},
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
