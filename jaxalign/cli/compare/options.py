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

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="A")]
    """A model as `jaxalign inspect` takes it; the folder of a run of `jaxalign train`, whose newest
    checkpoint is taken, or FOLDER@STEP of another one, FOLDER@0 of the untrained start; or a file
    of saved activations, .npz, .npy, safetensors or torch.save, with an array (n, ...) for each
    layer."""


@dataclass(frozen=True, kw_only=True)
class Second(SideOptions):
    """The second side."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="B")]
    """Likewise. Files go with files of the same rows, models and runs with each other; the same
    twice compares the layers of one."""


@dataclass(frozen=True, kw_only=True)
class Compare(DataOptions):
    """Compare two models, two runs or two files of activations, every layer with every layer.

    A measure of all pairs of layers, with what chance gives; with labels, also how aligned each
    layer is with them. A folder with numbers, a picture and a page is left behind. Options of one
    side begin with --a. or --b.
    """

    a: First
    b: Second
    part: Part = "train"
    """Which part of fashion-mnist, of IDX files, or of image files in folders train and test."""
    measure: Similarity = "linear-cka"
    """What is measured of two layers."""
    estimator: Estimator = "debiased"
    """Of linear-cka and rbf-cka; debiased is 0 by chance."""
    k: int = 10
    """Neighbours of mutual-knn and cknna."""
    unit_rows: bool = False
    """Scale rows to length one before; neighbours are then the nearest by cosine."""
    bandwidth: float = 1.0
    """Of rbf-cka, times the median distance."""
    variance: float = 0.99
    """The share of the variance that svcca keeps."""
    metric: DistanceMetric = "sqeuclidean"
    """Of distances between rows in rsa."""
    compare: RankCompare = "pearson"
    """How rsa compares distances."""
    reduce: Pooling = "mean"
    """What becomes of the positions of maps and tokens: mean over them, flatten into features, or
    cls, the first one alone."""
    channels: Channels = "auto"
    """Of maps in files: first as in torch, last as in JAX; auto tells them apart where two of three
    axes are equal."""
    permutations: int = 0
    """Take what chance gives from so many random orders of the rows, which every measure allows."""
    intervals: Intervals = "best"
    """Of which layers the difference of alignment is taken, with an interval: best, that of each
    side furthest above chance; named, those of one name; or none."""
    centered: Centered = "auto"
    """Alignment about the means of features and targets; auto: for numbers to regress on, not for
    classes."""
    batch_size: int = 64
    """Rows at a time."""
    memory: float = 4.0
    """GiB that rows or sums of all layers may take."""
    seed: int = 0
    """Of permutations and intervals."""
    out: Path | None = None
    """Folder to make; by default the next free runs/compare-N."""
    overwrite: bool = False
    """Replace the comparison that is in the out folder."""

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
