"""The options of `jaxalign compare`. Pure Python, see ``cli.choices``."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import tyro

from jaxalign.cli.checks import require_at_least_one, require_defaults
from jaxalign.cli.choices import (
    Centered,
    Channels,
    DistanceMetric,
    Estimator,
    Intervals,
    Part,
    Pooling,
    RankCompare,
    Similarity,
)
from jaxalign.cli.subject.options import DataOptions, ModelOptions

_OF_MEASURES: dict[str, tuple[Similarity, ...]] = {
    "estimator": ("linear-cka", "rbf-cka"),
    "k": ("mutual-knn", "cknna"),
    "bandwidth": ("rbf-cka",),
    "variance": ("svcca",),
    "metric": ("rsa",),
    "compare": ("rsa",),
}


@dataclass(frozen=True, kw_only=True)
class SideOptions(ModelOptions):
    """One side."""

    def __post_init__(self) -> None:
        self.check_model()


@dataclass(frozen=True, kw_only=True)
class First(SideOptions):
    """The first side."""

    # A model as `jaxalign inspect` takes it; or the folder of a run of `jaxalign train`, of which
    # the newest checkpoint is taken, FOLDER@STEP for another one, FOLDER@0 for the untrained start;
    # or a file of saved activations, .npz, .npy, safetensors or torch.save, with an array (n, ...)
    # for each layer.
    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="A")]


@dataclass(frozen=True, kw_only=True)
class Second(SideOptions):
    """The second side."""

    # The other side, given like A. Files are compared with files of the same rows, models and runs
    # with each other. The same twice compares the layers of one model.
    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="B")]


@dataclass(frozen=True, kw_only=True)
class Compare(DataOptions):
    """Compare two models, two runs or two files of activations, every layer with every layer.

    It measures all pairs of layers, and says what chance gives; with labels, also how aligned each
    layer is with them. It leaves a folder with numbers, a picture and a page. Options of one side
    begin with --a. or --b.
    """

    a: First
    b: Second
    # Which part of fashion-mnist, of IDX files, or of image files in folders train and test.
    part: Part = "train"
    # What is measured of two layers.
    measure: Similarity = "linear-cka"
    # The estimator of linear-cka and rbf-cka; debiased is 0 by chance.
    estimator: Estimator = "debiased"
    # Number of neighbours in mutual-knn and cknna.
    k: int = 10
    # Scale rows to length one first; neighbours are then the nearest by cosine.
    unit_rows: bool = False
    # The bandwidth of rbf-cka, as a multiple of the median distance.
    bandwidth: float = 1.0
    # The share of the variance that svcca keeps.
    variance: float = 0.99
    # The distance between rows in rsa.
    metric: DistanceMetric = "sqeuclidean"
    # How rsa compares distances.
    compare: RankCompare = "pearson"
    # What becomes of the positions of maps and tokens: mean over them, flatten into features, or
    # cls, the first one alone.
    reduce: Pooling = "mean"
    # Where maps in files have their channels: first as in torch, last as in JAX. With auto, they
    # are the axis that differs from two others that are equal.
    channels: Channels = "auto"
    # Take what chance gives from this many random orders of the rows, which every measure allows.
    permutations: int = 0
    # Which layers' difference of alignment has an interval: best, the layer of each side furthest
    # above chance; named, layers of the same name; or none.
    intervals: Intervals = "best"
    # Measure alignment about the means of features and targets. With auto, this is done for numbers
    # to regress on, not for classes.
    centered: Centered = "auto"
    # Rows per batch.
    batch_size: int = 64
    # The most GiB that rows or sums of all layers may take.
    memory: float = 4.0
    # Seed of permutations and intervals.
    seed: int = 0
    # Folder to make; by default the next free runs/compare-N.
    out: Path | None = None
    # Replace the comparison that is in the out folder.
    overwrite: bool = False

    def __post_init__(self) -> None:
        self.check_data()
        require_at_least_one(self, ["batch_size", "k"])
        for name in ("permutations", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"{name} must not be negative, found {getattr(self, name)}; change --{name}"
                )
        for name in ("memory", "bandwidth"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(
                    f"{name} must be positive and finite, found {getattr(self, name)}; "
                    f"change --{name}"
                )
        if not 0 < self.variance <= 1:
            raise ValueError(
                f"variance must be above 0 and at most 1, found {self.variance}; change --variance"
            )
        others = [name for name, of in _OF_MEASURES.items() if self.measure not in of]
        require_defaults(self, others, f"would change nothing of {self.measure}")
        if self.overwrite and self.out is None:
            raise ValueError("--overwrite needs a folder to replace; pass --out")

    @property
    def sides(self) -> tuple[SideOptions, SideOptions]:
        """Both sides."""
        return self.a, self.b

    @property
    def chosen_data(self) -> list[str]:
        """The names of the options of the data that were chosen."""
        return [
            field.name
            for field in fields(DataOptions)
            if getattr(self, field.name) != field.default
        ]
