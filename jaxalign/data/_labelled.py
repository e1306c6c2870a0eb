"""Inputs with labels as a file holds them, and whether the labels are classes or numbers to regress
on.
"""

from typing import Any, Literal, NamedTuple

import numpy as np

Task = Literal["auto", "classes", "regression"]

MOST_CLASSES = 100
"""Integers of more different values are numbers, unless told otherwise."""


class Labelled(NamedTuple):
    """Inputs and labels of one source.

    Attributes:
      inputs: (n, ...) of any dtype, or a sequence of n images that are read when they are asked
        for.
      labels: (n,) integers, booleans, strings or floats; or (n, k) floats.
      source: where they come from, for people.
    """

    inputs: Any
    labels: np.ndarray
    source: str

    def classes(self, task: Task = "auto") -> tuple | None:
        """The classes among the labels, ascending, or None for numbers to regress on.

        Of its own accord, text and booleans are classes, floats with a fraction are numbers, and
        integers (3.0 among them) are classes if they have at most 100 different values, each twice
        on average.

        Raises:
          ValueError: the labels cannot be what ``task`` says, or are all of one class.

        Example:
          >>> import numpy as np
          >>> from jaxalign.data._labelled import Labelled
          >>> Labelled(np.zeros((4, 2)), np.array([3, 1, 3, 1]), "memory").classes()
          (1, 3)
          >>> Labelled(np.zeros((4, 2)), np.array([0.5, 1, 3, 1]), "memory").classes() is None
          True

        Source: ours.
        """
        kind = self.labels.dtype.kind
        if kind not in "biufUS":
            raise ValueError(
                f"labels of {self.source} must be integers, booleans, text or floats, found {self.labels.dtype}"
            )
        if kind == "f" and not np.isfinite(self.labels).all():
            row = int(np.argwhere(~np.isfinite(self.labels))[0, 0])
            raise ValueError(
                f"labels of {self.source} must be finite, found NaN or Inf in row {row} (counted from 0)"
            )
        whole = self.labels.ndim == 1 and (
            kind != "f" or bool((self.labels == np.round(self.labels)).all())
        )
        if task == "regression":
            if kind in "US":
                raise ValueError(
                    f"labels of {self.source} are text, such as {str(self.labels.flat[0])!r}: no numbers to regress on"
                )
            return None
        if task == "classes" and not whole:
            raise ValueError(
                f"labels of {self.source} are {self._shown}: no classes; leave the task to be found, or regression"
            )
        if not whole:
            return None
        found = np.unique(self.labels)
        if len(found) < 2:
            raise ValueError(
                f"labels of {self.source} must hold at least two classes, found only {found.tolist()}"
            )
        some = max(2, len(self.labels) // 2)
        if task == "auto" and kind in "US" and len(found) > some:
            odd = next(
                (text for text in self.labels.tolist() if not is_number(text)), self.labels[0]
            )
            raise ValueError(
                f"labels of {self.source} are text of {len(found):,} different values in {len(self.labels):,} rows, "
                f"neither classes nor numbers; {odd!r} is no number"
            )
        classes = task == "classes" or kind in "bUS" or len(found) <= min(MOST_CLASSES, some)
        return tuple(_plain(found)) if classes else None

    @property
    def _shown(self) -> str:
        return f"{self.labels.dtype} of shape {self.labels.shape}, such as {self.labels.flat[0]}"


def is_number(text: str) -> bool:
    """Whether Python reads a float in it."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(found: np.ndarray) -> list:
    """Class values as Python's, integers also where a file holds 3.0."""
    return [int(value) for value in found.tolist()] if found.dtype.kind == "f" else found.tolist()


def require_pairs(inputs: np.ndarray, labels: np.ndarray, source: str) -> None:
    """Raise unless there is one label an input, and at least one of both."""
    if (
        inputs.ndim < 2
        or labels.ndim not in (1, 2)
        or len(inputs) != len(labels)
        or 0 in (*inputs.shape, *labels.shape)
    ):
        raise ValueError(
            f"{source} must hold inputs (n, ...) and one label an input, found inputs {inputs.shape} and labels {labels.shape}"
        )
