"""Inputs with labels as a file holds them; whether the labels are classes or numbers to predict."""

from typing import Any, Literal, NamedTuple

import ml_dtypes
import numpy as np

from jaxalign._core.numerals import is_float

Task = Literal["auto", "classes", "regression"]

_UNKNOWN = ("", "nan", "none", "<na>", "nat")

MOST_CLASSES = 100
"""Integers with more different values are taken for numbers to regress on, not for classes."""


class Labelled(NamedTuple):
    """Inputs and labels of one source.

    Attributes:
      inputs: (n, ...) of numbers, or a sequence of n images that are read when indexed.
      labels: (n,) integers, booleans, text or floats; or (n, k) floats.
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
          >>> from jaxalign.data import Labelled
          >>> Labelled(np.zeros((4, 2)), np.array([3, 1, 3, 1]), "memory").classes()
          (1, 3)
          >>> Labelled(np.zeros((4, 2)), np.array([0.5, 1, 3, 1]), "memory").classes() is None
          True
        """
        self._require_known_values()
        kind = self.labels.dtype.kind
        if task == "regression":
            if kind == "U":
                raise ValueError(
                    f"labels of {self.source} are text, such as {str(self.labels.flat[0])!r}: "
                    "no numbers to regress on"
                )
            return None
        if self.labels.ndim == 2:
            self._require_no_codes()
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
        if task == "auto" and kind == "U" and not repeated:
            raise self._unclear_text(len(values))
        few = repeated and len(values) <= MOST_CLASSES
        if task == "classes" or kind in "bU" or few:
            return tuple(_plain(values))
        return None

    def _require_known_values(self) -> None:
        if self.labels.dtype.kind not in "biufU":
            raise ValueError(
                f"labels of {self.source} must be integers, booleans, text or floats, "
                f"found {self.labels.dtype}"
            )
        if self.labels.dtype.kind == "f" and not np.isfinite(self.labels).all():
            row = int(np.argwhere(~np.isfinite(self.labels))[0, 0])
            raise ValueError(
                f"labels of {self.source} must be finite, "
                f"found NaN or Inf in row {row} (counted from 0)"
            )

    def _require_no_codes(self) -> None:
        """Raise if rows of labels are integers, or code a class by a one among zeros."""
        one_hot = np.isin(self.labels, (0, 1)).all() and (self.labels.sum(axis=1) == 1).all()
        if one_hot or self.labels.dtype.kind != "f":
            raise ValueError(
                f"labels of {self.source} are {self.labels.dtype} of shape {self.labels.shape}; "
                "save labels.argmax(axis=1) for one-hot rows, or choose regression"
            )

    def _are_whole(self) -> bool:
        """Whether each row has one label without a fraction: what classes need."""
        if self.labels.ndim != 1:
            return False
        return self.labels.dtype.kind != "f" or bool((self.labels == np.round(self.labels)).all())

    def _unclear_text(self, values: int) -> ValueError:
        texts = self.labels.tolist()
        example = next((text for text in texts if not is_float(text)), texts[0])
        return ValueError(
            f"labels of {self.source} are text of {values:,} different values in "
            f"{len(self.labels):,} rows, neither classes nor numbers; {example!r} is not a number"
        )


def _plain(values: np.ndarray) -> list:
    """Class values as Python values; whole floats, as some files hold them, become integers."""
    if values.dtype.kind == "f":
        return [int(value) for value in values.tolist()]
    return values.tolist()


def labelled(inputs: np.ndarray, labels: np.ndarray, source: str) -> Labelled:
    """One label per input, as arrays of numbers: the border where arrays of files come in.

    Bytes of text are decoded, bfloat16 becomes float32, labels (n, 1) become (n,), and numbers take
    the byte order of the machine.

    Raises:
      ValueError: arrays of another kind or shape.
    """
    inputs = _native(inputs)
    labels = _native(labels)
    if inputs.dtype.kind not in "biuf":
        raise ValueError(
            f"inputs of {source} must be real numbers, found {inputs.dtype}; "
            "save complex numbers as two columns, text as numbers"
        )
    if labels.dtype.kind not in "biufU":
        raise ValueError(
            f"labels of {source} must be integers, booleans, text or floats, found {labels.dtype}"
        )
    if labels.dtype.kind == "U":
        require_known_texts(labels, source)
    ranks_fit = inputs.ndim >= 2 and labels.ndim in (1, 2)
    empty = 0 in (*inputs.shape, *labels.shape)
    if not ranks_fit or empty or len(inputs) != len(labels):
        raise ValueError(
            f"{source} must hold inputs (n, ...) and one label per input, "
            f"found inputs {inputs.shape} and labels {labels.shape}"
        )
    if labels.shape[1:] == (1,):
        labels = labels[:, 0]
    return Labelled(inputs, labels, source)


def require_known_texts(labels: np.ndarray, source: str) -> None:
    """Raise if a label is what Python's missing values become as text."""
    unknown = np.isin(np.char.lower(labels), _UNKNOWN)
    if unknown.any():
        row = int(np.argwhere(unknown)[0, 0])
        raise ValueError(
            f"labels of {source} must be known, found {str(labels[unknown][0])!r} in row {row} "
            "(counted from 0); drop such rows, or give the class another name"
        )


def _narrowed(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float64)
    if (np.isinf(narrow) & ~np.isinf(array)).any():
        raise ValueError(
            f"numbers of {array.dtype} must fit in float64, found {np.abs(array).max()!s}; "
            "divide them by a constant"
        )
    return narrow


def _native(array: np.ndarray) -> np.ndarray:
    """Kinds that numpy keeps and jax does not know, as those it knows."""
    if array.dtype == np.dtype("V2"):
        # numpy's files have no name for bfloat16; other types of two bytes have one.
        return array.view(ml_dtypes.bfloat16).astype(np.float32)
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return _narrowed(array)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
