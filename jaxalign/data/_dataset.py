"""A labelled data set in memory, and the choice of rows that keeps its classes balanced."""

import hashlib
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

from jaxalign._features.labels import as_class_values, as_labels


@dataclass(frozen=True)
class Dataset:
    """Inputs with class labels.

    Attributes:
      inputs: (n, ...) float32.
      labels: (n,) int32, 0...c − 1: positions in ``class_names``.
      class_names: the names of the c classes, in the order of network outputs and target columns.
      source: where the data come from, for people.

    Raises:
      ValueError: empty, or inputs and labels of different n.
    """

    inputs: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels) or len(self.inputs) == 0:
            raise ValueError(
                "inputs and labels must have as many rows, at least one, "
                f"found {len(self.inputs)} and {len(self.labels)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Dataset":
        """The first ``count`` rows that keep the classes balanced, as ``balanced_rows`` gives them.

        Raises:
          ValueError: fewer rows than classes, of which one would be missing; more than there are.
        """
        classes = len(self.class_names)
        if not classes <= count <= len(self):
            raise ValueError(
                f"count must be from {classes} (the classes) to {len(self)} (the rows there are), "
                f"found {count}"
            )
        rows = balanced_rows(self.labels, count)
        return replace(self, inputs=self.inputs[rows], labels=self.labels[rows])

    def sha256(self) -> str:
        """A hash of shapes, dtypes and values: equal data have equal hashes in any file format."""
        digest = hashlib.sha256()
        for array in (self.inputs, self.labels):
            digest.update(f"{array.dtype.str} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


class Split(NamedTuple):
    """Two data sets of one source."""

    train: Dataset
    test: Dataset


def balanced_rows(labels: ArrayLike, count: int) -> Int[np.ndarray, " count"]:
    """The first ``count`` rows that keep the classes balanced, as indices in ascending order.

    The classes differ by one row at most, as long as none of them runs out of rows.

    Args:
      labels: (n,) the class of each row, in any container that ``encode_targets`` takes.
      count: the number of rows to take.

    Returns:
      (count,) row numbers.

    Raises:
      ValueError: labels of another shape, or with missing values; a count outside 1 ... n.
      TypeError: labels of several kinds.

    Example:
      >>> from jaxalign.data import balanced_rows
      >>> balanced_rows(["a", "a", "a", "b", "a", "b"], 4).tolist()
      [0, 1, 3, 5]

    Source: ours.
    """
    labels = np.asarray(as_class_values(as_labels(labels)))
    if not 1 <= count <= len(labels):
        raise ValueError(
            f"count must be from 1 to {len(labels)} (the rows there are), found {count}"
        )
    # A row's rank counts the earlier rows of its class: sorting by rank takes the classes in turn.
    rank = np.empty(len(labels), np.int64)
    for value in np.unique(labels):
        members = np.flatnonzero(labels == value)
        rank[members] = np.arange(len(members))
    return np.sort(np.argsort(rank, kind="stable")[:count])
