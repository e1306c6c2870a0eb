"""Inputs with labels as a file holds them; whether the labels are classes or numbers to predict."""

from typing import Any, Literal, NamedTuple

import numpy as np

Task = Literal["auto", "classes", "regression"]

MOST_CLASSES = 100
"""Integers with more different values are taken for numbers to regress on, not for classes."""


class Labelled(NamedTuple):
    """Inputs and labels of one source.

    Attributes:
      inputs: (n, ...) of any dtype, or a sequence of n images that are read when indexed.
      labels: (n,) integers, booleans, strings or floats; or (n, k) floats.
      source: where they come from, for people.
    """

    inputs: Any
    labels: np.ndarray
    source: str

    def classes(self, task: Task = "auto") -> tuple | None:
        """The classes among the labels, ascending, or None for numbers to regress on.

        With ``task="auto"``, text and booleans are classes, and floats with a fraction are numbers.
        Integers (also 3.0) are classes if they have at most 100 different values, and each occurs
        twice on average.

        Raises:
          ValueError: labels that do not allow the task, or that are all of one class.

        Example:
          >>> import numpy as np
          >>> from jaxalign.data._labelled import Labelled
          >>> Labelled(np.zeros((4, 2)), np.array([3, 1, 3, 1]), "memory").classes()
          (1, 3)
          >>> Labelled(np.zeros((4, 2)), np.array([0.5, 1, 3, 1]), "memory").classes() is None
          True
        """
        self._require_known_values()
        kind = self.labels.dtype.kind
        if task == "regression":
            if kind in "US":
                raise ValueError(
                    f"labels of {self.source} are text, such as {str(self.labels.flat[0])!r}: "
                    "no numbers to regress on"
                )
            return None
        if not self._are_whole():
            if task == "classes":
                raise ValueError(
                    f"labels of {self.source} are {self.labels.dtype} of shape "
                    f"{self.labels.shape}, such as {self.labels.flat[0]}: no classes; "
                    "leave the task to be found, or regression"
                )
            return None
        values = np.unique(self.labels)
        if len(values) < 2:
            raise ValueError(
                f"labels of {self.source} must hold at least two classes, "
                f"found only {values.tolist()}"
            )
        # Values that repeat less than twice on average are rarely classes.
        repeated = len(values) <= max(2, len(self.labels) // 2)
        if task == "auto" and kind in "US" and not repeated:
            raise self._unclear_text(len(values))
        few = repeated and len(values) <= MOST_CLASSES
        if task == "classes" or kind in "bUS" or few:
            return tuple(_plain(values))
        return None

    def _require_known_values(self) -> None:
        kind = self.labels.dtype.kind
        if kind not in "biufUS":
            raise ValueError(
                f"labels of {self.source} must be integers, booleans, text or floats, "
                f"found {self.labels.dtype}"
            )
        if kind == "f" and not np.isfinite(self.labels).all():
            row = int(np.argwhere(~np.isfinite(self.labels))[0, 0])
            raise ValueError(
                f"labels of {self.source} must be finite, "
                f"found NaN or Inf in row {row} (counted from 0)"
            )

    def _are_whole(self) -> bool:
        """Whether each row has one label without a fraction: what classes need."""
        if self.labels.ndim != 1:
            return False
        return self.labels.dtype.kind != "f" or bool((self.labels == np.round(self.labels)).all())

    def _unclear_text(self, values: int) -> ValueError:
        texts = self.labels.tolist()
        example = next((text for text in texts if not is_number(text)), texts[0])
        return ValueError(
            f"labels of {self.source} are text of {values:,} different values in "
            f"{len(self.labels):,} rows, neither classes nor numbers; {example!r} is no number"
        )


def is_number(text: str) -> bool:
    """Whether Python parses the text as a float."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(values: np.ndarray) -> list:
    """Class values as Python values; whole floats, as some files hold them, become integers."""
    if values.dtype.kind == "f":
        return [int(value) for value in values.tolist()]
    return values.tolist()


def require_pairs(inputs: np.ndarray, labels: np.ndarray, source: str) -> None:
    """Raise unless there is one label per input, and at least one of both."""
    ranks_fit = inputs.ndim >= 2 and labels.ndim in (1, 2)
    empty = 0 in (*inputs.shape, *labels.shape)
    if not ranks_fit or empty or len(inputs) != len(labels):
        raise ValueError(
            f"{source} must hold inputs (n, ...) and one label per input, "
            f"found inputs {inputs.shape} and labels {labels.shape}"
        )
