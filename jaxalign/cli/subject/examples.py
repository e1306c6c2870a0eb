"""Rows of inputs with their labels and targets, and batches of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxalign._features import encode_targets
from jaxalign.data import balanced_rows


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

    def warnings_of_mean(self, *, centered: bool) -> list[str]:
        """What would mislead whoever overlooks it, of alignment that is not about the means."""
        if self.share_of_mean < 0.1 or centered:
            return []
        return [
            f"{self.share_of_mean:.0%} of ‖y‖² is the mean of the targets, so every layer with a "
            "strong common direction is aligned with that much, trained or not. --centered yes "
            "leaves it out."
        ]

    def rows(self, start: int, stop: int) -> Any:
        """Inputs as the source has them: (m, ...), or a list of m images of any size."""
        chosen = self.positions[start:stop]
        if isinstance(self.inputs, np.ndarray):
            return self.inputs[chosen]
        try:
            return [self.inputs[i] for i in chosen]
        except (OSError, ValueError) as error:
            raise ValueError(f"{error}; repair it, or pass --unreadable skip") from error

    def at(self, rows: Int[np.ndarray, " m"]) -> "Examples":
        """Some of the rows."""
        return Examples(
            self.inputs, self.positions[rows], self.labels[rows], self.class_names, self.source
        )

    def readable(self) -> "Examples":
        """The rows whose images can be read, all of which are, to find out; the source says how
        many others there are.

        Raises:
          ValueError: a class of which no image can be read.
        """
        rows = [row for row, i in enumerate(self.positions) if self.inputs.is_readable(i)]
        some = self.at(np.array(rows, int))
        lost = sorted({self.class_names[label] for label in set(self.labels) - set(some.labels)})
        if lost:
            raise ValueError(f"no image of {', '.join(lost)} in {self.source} can be read")
        if len(some) == len(self):
            return self
        skipped = f"without {len(self) - len(some):,} of {len(self):,} images that cannot be read"
        return replace(some, source=f"{self.source} {skipped}")

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
