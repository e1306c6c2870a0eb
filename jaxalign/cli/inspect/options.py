"""The options of `jaxalign inspect` and `jaxalign layers`. Pure Python, see ``cli.choices``."""

from dataclasses import dataclass, fields
from pathlib import Path

from jaxalign.cli.checks import require_at_least_one, require_defaults, require_thresholds
from jaxalign.cli.choices import Centered, Many, Part, Reduce, StreamMethod
from jaxalign.cli.subject.options import DataOptions, SubjectOptions


@dataclass(frozen=True, kw_only=True)
class Inspect(SubjectOptions):
    """Measure every layer of a given model, over a data set of any length.

    The data stream through the model once, in constant memory. It leaves a run folder with numbers,
    curves, a picture and a page.
    """

    # Which part of fashion-mnist, of IDX files, or of image files in folders train and test.
    part: Part = "train"
    # What becomes of the positions of maps and tokens: mean over them, flatten into features,
    # samples, which makes each a row, or cls, the first one alone. Inputs are flattened.
    reduce: Reduce = "mean"
    # How spectra are computed: from sums of products; refined reads the data twice, for singular
    # values as accurate as those of a float64 SVD.
    method: StreamMethod = "auto"
    # Subtract the means of features and targets. With auto, this is done for numbers to regress on,
    # not for classes.
    centered: Centered = "auto"
    # Thresholds τ of the table; the middle one is the headline. By default 5, 15 and 30 % of √n, to
    # one digit.
    thresholds: Many[float] = ()
    # Rows per batch.
    batch_size: int = 128
    # The most GiB that the sums of all layers may take.
    memory: float = 4.0
    # Run folder to make; by default the next free runs/inspect-N. If the folder holds an
    # interrupted inspection of the same command, that goes on.
    out: Path | None = None
    # Replace the inspection that is in the out folder.
    overwrite: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least_one(self, ["batch_size"])
        require_thresholds(self.thresholds)
        if not 0 < self.memory < float("inf"):
            raise ValueError(
                f"memory must be a positive number of GiB, found {self.memory}; change --memory"
            )
        if self.overwrite and self.out is None:
            raise ValueError("--overwrite needs a folder to replace; pass --out")


@dataclass(frozen=True, kw_only=True)
class Layers(SubjectOptions):
    """List a model's layers: names, shapes, dtypes, and the width d after each reduction. Nothing
    is computed.
    """

    # As of `jaxalign inspect`, for the shape of its inputs. By default networks for images have the
    # inputs and outputs that they were published with, and others those of fashion-mnist.
    data: str = ""
    # Shape of one input, such as 224 224 3, in place of what the data have.
    shape: Many[int] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(length < 1 for length in self.shape):
            raise ValueError(f"shape must be positive numbers, found {self.shape}; change --shape")
        if self.shape:
            data = [field.name for field in fields(DataOptions)]
            require_defaults(self, data, "would not be read: --shape stands for the data")

    @property
    def names_data(self) -> bool:
        """Whether an option says which data."""
        of_data = {field.name for field in fields(DataOptions)}
        return any(
            getattr(self, field.name) != field.default
            for field in fields(self)
            if field.name in of_data
        )
