"""A labelled data set in memory."""

import hashlib
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np


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
                f"inputs and labels must have as many rows, at least one, found {len(self.inputs)} and {len(self.labels)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Dataset":
        """The first ``count`` rows that keep the classes balanced (to one row), in their order."""
        classes = len(self.class_names)
        if not classes <= count <= len(self):
            raise ValueError(
                f"count must be from {classes} (the classes) to {len(self)} (the rows there are), found {count}"
            )
        rank_in_class = np.empty(len(self), np.int64)
        for c in range(classes):
            members = np.flatnonzero(self.labels == c)
            rank_in_class[members] = np.arange(len(members))
        rows = np.sort(np.argsort(rank_in_class, kind="stable")[:count])
        return replace(self, inputs=self.inputs[rows], labels=self.labels[rows])

    def sha256(self) -> str:
        """A hash of the shapes and values of inputs and labels: equal data have equal hashes,
        whatever file they had.
        """
        digest = hashlib.sha256()
        for array in (self.inputs, self.labels):
            digest.update(f"{array.dtype.str} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


class Split(NamedTuple):
    """Two data sets of one source."""

    train: Dataset
    test: Dataset
