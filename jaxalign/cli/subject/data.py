"""A data set by name or path, as rows of inputs, labels and a target matrix."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxalign._features import encode_targets
from jaxalign.cli.choices import Part
from jaxalign.cli.subject.options import DataOptions
from jaxalign.data import (
    Labelled,
    balanced_rows,
    fashion_mnist,
    image_folder,
    read_csv,
    read_npz,
)
from jaxalign.data._fashion_mnist import CLASSES, read_folder

EMBEDDED = "fashion-mnist"
KINDS = (
    f"{EMBEDDED}, a folder of IDX files, an .npz of inputs and labels, a .csv, "
    "or a folder with a subfolder of images a class"
)


@dataclass(frozen=True)
class Examples:
    """Rows of inputs with labels.

    Attributes:
      inputs: an array, bytes or numbers; or a sequence that reads an image when it is asked for
        one.
      positions: (n,) the index in ``inputs`` of each row.
      labels: (n,) int32, positions in ``class_names``; or (n, k) float32 to regress on.
      class_names: the names of the classes, in the order of the targets; empty for regression.
      source: where the data come from, for people.
    """

    inputs: Any
    positions: Int[np.ndarray, " n"]
    labels: Int[np.ndarray, " n"] | Float[np.ndarray, "n k"]
    class_names: tuple[str, ...]
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def targets(self) -> Float[np.ndarray, "n k"]:
        """The target matrix Y."""
        if not self.class_names:
            return self.labels
        return np.asarray(encode_targets(self.labels, classes=range(len(self.class_names))))

    @property
    def task(self) -> str:
        """What the labels are, for people."""
        if self.class_names:
            return f"{len(self.class_names)} classes"
        count = self.labels.shape[1]
        return f"{count} target{'s' if count > 1 else ''} to regress on"

    @property
    def share_of_mean(self) -> float:
        """The share of ‖Y‖² that a constant explains."""
        mean = self.targets.mean(axis=0, dtype=np.float64)
        return float(len(self) * (mean**2).sum() / (self.targets**2).sum(dtype=np.float64))

    def rows(self, start: int, stop: int) -> Any:
        """Inputs as the source has them: (m, ...), or a list of m images of any size."""
        chosen = self.positions[start:stop]
        if isinstance(self.inputs, np.ndarray):
            return self.inputs[chosen]
        return [self.inputs[i] for i in chosen]

    def at(self, rows: Int[np.ndarray, " m"]) -> "Examples":
        """Some of the rows."""
        return Examples(
            self.inputs, self.positions[rows], self.labels[rows], self.class_names, self.source
        )

    def first(self, count: int) -> "Examples":
        """The first ``count`` rows, classes balanced; of numbers to regress on, the first rows.

        Raises:
          ValueError: a count outside 1 ... n.
        """
        groups = self.labels if self.class_names else np.zeros(len(self))
        return self.at(balanced_rows(groups, count))


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


def load_examples(options: DataOptions, part: Part = "train") -> Examples:
    """Read a data set: ``KINDS`` are known by name, or by what is found at the path.

    Raises:
      FileNotFoundError: nothing is there.
      ValueError: what is there is none of ``KINDS``, or damaged; an option that does not go with
        it.
    """
    source = _read(options, part)
    classes = source.classes(options.task)
    if classes is None:
        examples = _regression(source, options)
    else:
        examples = _classification(source, classes, options)
    if not examples.targets.any():
        raise ValueError(
            f"the targets of {source.source} are all 0: there is nothing to be aligned with"
        )
    if options.num_samples is None:
        return examples
    try:
        return examples.first(options.num_samples)
    except ValueError as error:
        raise ValueError(f"--num-samples: {error}") from None


def has_test_part(options: DataOptions) -> bool:
    """Whether the data come with a part to test on."""
    return options.data == EMBEDDED or _holds_idx_files(Path(options.data))


def _regression(source: Labelled, options: DataOptions) -> Examples:
    if options.classes:
        raise ValueError(
            f"--classes chooses among classes; labels of {source.source} are numbers to regress on"
        )
    targets = np.asarray(encode_targets(source.labels.astype(np.float32)))
    return Examples(source.inputs, np.arange(len(targets)), targets, (), source.source)


def _classification(source: Labelled, classes: tuple, options: DataOptions) -> Examples:
    chosen = _chosen(classes, options.classes)
    # -1 marks rows of the classes that are left out.
    labels = np.full(len(source.labels), -1, np.int32)
    for position, value in enumerate(chosen):
        labels[source.labels == value] = position
    rows = np.flatnonzero(labels >= 0)
    names = tuple(_class_name(value, options) for value in chosen)
    return Examples(source.inputs, rows, labels[rows], names, source.source)


def _chosen(classes: tuple, wanted: tuple[str, ...]) -> list:
    """The classes of these names, in their order; all of them for none, and for "all"."""
    by_name = {str(value): value for value in classes}
    if wanted in ((), ("all",)):
        return list(classes)
    if len(wanted) < 2 or len(set(wanted)) < len(wanted) or not set(wanted) <= set(by_name):
        raise ValueError(
            f"--classes must be two or more different ones of {', '.join(by_name)}, "
            f"found {', '.join(wanted)}"
        )
    return [by_name[name] for name in wanted]


def _class_name(value: Any, options: DataOptions) -> str:
    return CLASSES[value] if options.data == EMBEDDED else str(value)


def _read(options: DataOptions, part: Part) -> Labelled:
    path = Path(options.data)
    if options.label is not None and path.suffix != ".csv":
        raise ValueError(f"--label names a column of a .csv file; {options.data} is none")
    if options.data == EMBEDDED:
        images = getattr(fashion_mnist(), part)
        return Labelled(images.inputs, images.labels, images.source)
    if not path.exists():
        raise FileNotFoundError(f"there is no data at {options.data}; it can be {KINDS}")
    if path.suffix == ".csv":
        return read_csv(path, label=options.label)
    if path.suffix == ".npz":
        return read_npz(path)
    if _holds_idx_files(path):
        inputs, labels = read_folder(path, part)
        return Labelled(inputs, labels, f"{path.resolve().name}, {part}")
    if path.is_dir() and any(child.is_dir() for child in path.iterdir()):
        folder = image_folder(path)
        # Named classes: as integers, many would be taken for numbers to regress on.
        return Labelled(folder, np.array(folder.class_names)[folder.labels], folder.source)
    raise ValueError(f"{options.data} is no data set that can be read; it can be {KINDS}")


def _holds_idx_files(path: Path) -> bool:
    if not path.is_dir():
        return False
    return any("idx" in file.name and "ubyte" in file.name for file in path.iterdir())
