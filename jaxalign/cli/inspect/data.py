"""What `jaxalign inspect` asks a model about: a data set by name or path, as rows of inputs and a
target matrix.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxalign._features import encode_targets
from jaxalign.data import Labelled, fashion_mnist, image_folder, read_csv, read_npz
from jaxalign.data._fashion_mnist import read_folder
from jaxalign.data._images import crop_and_resize
from jaxalign.data._labelled import Task

EMBEDDED = "fashion-mnist"
KINDS = f"{EMBEDDED}, a folder of IDX files, an .npz of inputs and labels, a .csv, or a folder with a subfolder of images a class"
IMAGE_RANGE = 20.0
"""No usual scaling of pixels leads so far from 0."""

Part = Literal["train", "test"]
Scaling = Literal["signed", "unit", "imagenet", "none"]

SCALINGS: dict[Scaling, Callable[[np.ndarray], np.ndarray]] = {
    "signed": lambda x: (x / 255 - 0.5) / 0.5,
    "unit": lambda x: x / 255,
    "imagenet": lambda x: (
        (x / 255 - np.array((0.485, 0.456, 0.406))) / np.array((0.229, 0.224, 0.225))
    ),
    "none": lambda x: x,
}


@dataclass(frozen=True)
class Examples:
    """Rows of inputs and their targets.

    Attributes:
      inputs: an array, bytes or numbers; or a sequence that reads an image when it is asked for
        one.
      positions: (n,) which of the inputs are the rows.
      targets: (n, k) float32 Y.
      source: where they come from, for people.
      task: what the targets are, for people.
    """

    inputs: Any
    positions: np.ndarray
    targets: np.ndarray
    source: str
    task: str

    def __len__(self) -> int:
        return len(self.targets)

    def rows(self, start: int, stop: int) -> Any:
        """Inputs as the source has them: (m, ...), or a list of m images of any size."""
        chosen = self.positions[start:stop]
        return (
            self.inputs[chosen]
            if isinstance(self.inputs, np.ndarray)
            else [self.inputs[i] for i in chosen]
        )

    @property
    def share_of_mean(self) -> float:
        """How much of ‖y‖² a constant explains."""
        return float(
            len(self)
            * (self.targets.mean(axis=0, dtype=np.float64) ** 2).sum()
            / (self.targets**2).sum(dtype=np.float64)
        )


@dataclass(frozen=True)
class Batches:
    """Batches of examples in order, as often as they are asked for.

    Attributes:
      examples: the rows.
      convert: from rows as the source has them to inputs of the model.
      size: rows of a batch; the last may have fewer.
    """

    examples: Examples
    convert: Callable[[Any], np.ndarray]
    size: int

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(self.examples), self.size):
            stop = start + self.size
            yield self.convert(self.examples.rows(start, stop)), self.examples.targets[start:stop]


def load_examples(
    data: str, *, label: str | None, task: Task, part: Part, samples: int | None
) -> Examples:
    """Read a data set: ``KINDS`` are known by name, or by what is found at the path.

    Raises:
      FileNotFoundError: nothing is there.
      ValueError: what is there is none of ``KINDS``, or damaged; an option that does not go with
        it.
    """
    found = _read(data, label, part)
    classes = found.classes(task)
    labels = found.labels
    targets = np.asarray(
        encode_targets(labels.astype(np.float32))
        if classes is None
        else encode_targets(labels, classes=classes)
    )
    if not targets.any():
        raise ValueError(
            f"the targets of {found.source} are all 0: there is nothing to be aligned with"
        )
    kept = _first(labels if classes else None, len(targets), samples)
    columns = f"{targets.shape[1]} target{'s' if targets.shape[1] > 1 else ''} to regress on"
    return Examples(
        found.inputs,
        kept,
        targets[kept],
        found.source,
        columns if classes is None else f"{len(classes)} classes",
    )


def of_one_size(images: list[np.ndarray], size: int | None) -> np.ndarray:
    """Images as an array: their middle squares at ``size`` × ``size``, or as they are.

    Raises:
      ValueError: as they are, they differ.
    """
    if size is not None:
        images = [crop_and_resize(image, size) for image in images]
    if len(shapes := sorted({image.shape[:2] for image in images})) > 1:
        found = ", ".join(f"{h} × {w}" for h, w in shapes[:3])
        raise ValueError(
            f"images differ in size ({found}); pass --size 224, say, which scales their middle squares to 224 × 224"
        )
    return np.stack(images)


def scaled(rows: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Bytes scaled as pixels, other numbers as they are, float32.

    Raises:
      ValueError: images that are floats of a byte's range; three channels' scaling for other
        images.
    """
    if rows.dtype == np.uint8:
        if scaling == "imagenet" and rows.shape[-1] != 3:
            raise ValueError(
                f"--scaling imagenet is for images (n, h, w, 3), found {rows.shape}; choose signed or unit"
            )
        return SCALINGS[scaling](rows.astype(np.float32)).astype(np.float32)
    if rows.ndim >= 3 and (largest := float(np.nanmax(np.abs(rows)))) > IMAGE_RANGE:
        raise ValueError(
            f"inputs of shape {rows.shape[1:]} have values up to {largest:g}, too large for pixels that were scaled; "
            "give bytes (uint8), which --scaling scales, or scale them as the model was trained with"
        )
    return rows.astype(np.float32) if rows.dtype.kind in "fb" or rows.ndim >= 3 else rows


def _read(data: str, label: str | None, part: Part) -> Labelled:
    path = Path(data)
    if label is not None and path.suffix != ".csv":
        raise ValueError(f"--label names a column of a .csv file; {data} is none")
    if data == EMBEDDED:
        split = fashion_mnist()
        chosen = split.train if part == "train" else split.test
        return Labelled(chosen.inputs, chosen.labels, chosen.source)
    if not path.exists():
        raise FileNotFoundError(f"there is no data at {data}; it can be {KINDS}")
    if path.suffix == ".csv":
        return read_csv(path, label=label)
    if path.suffix == ".npz":
        return read_npz(path)
    if path.is_dir() and any(
        "idx" in file.name and "ubyte" in file.name for file in path.iterdir()
    ):
        images, labels = read_folder(path, part)
        return Labelled(images, labels, f"{path.resolve().name}, {part}")
    if path.is_dir() and any(child.is_dir() for child in path.iterdir()):
        folder = image_folder(path)
        return Labelled(folder, folder.labels, folder.source)
    raise ValueError(f"{data} is no data set that can be read; it can be {KINDS}")


def _first(labels: np.ndarray | None, count: int, samples: int | None) -> np.ndarray:
    """Which rows to take: all, or the first so many; of classes, as many of each (to one row)."""
    if samples is None:
        return np.arange(count)
    if not 1 <= samples <= count:
        raise ValueError(
            f"--samples must be from 1 to {count}, the rows there are, found {samples}"
        )
    rank = np.zeros(count, np.int64)
    if labels is not None:
        for value in np.unique(labels):
            members = np.flatnonzero(labels == value)
            rank[members] = np.arange(len(members))
    return np.sort(np.argsort(rank, kind="stable")[:samples])
