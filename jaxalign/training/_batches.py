"""The batches of a stream: pairs of arrays that are all like the first one."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import numpy as np

from jaxalign._core.arrays import as_numbers
from jaxalign._core.batches import entries
from jaxalign._core.checks import as_program_numbers
from jaxalign._core.digests import digest
from jaxalign._core.kinds import as_count, found
from jaxalign._core.mesh import require_values
from jaxalign._core.warn import warn
from jaxalign._features.labels import as_labels
from jaxalign.training._processes import ALONE, Processes
from jaxalign.training._reader import END, Position, Reader

Keys = tuple[str, str]
"""The names of inputs and labels in what is a dict."""


class Reading(NamedTuple):
    """How a stream is read.

    Attributes:
      keys: of batches that are dicts.
      chunk_bytes: of a chunk in one process, at most.
      resumable: whether positions are asked for.
      processes: that train the run.
    """

    keys: Keys
    chunk_bytes: int
    resumable: bool
    processes: Processes = ALONE

    @property
    def settings(self) -> dict[str, Any]:
        """What has to be the same in all processes."""
        return {"keys": self.keys, "chunk_bytes": self.chunk_bytes}


def checked_reading(
    keys: Any, chunk_bytes: Any, processes: Processes, *, resumable: bool
) -> Reading:
    """The Reading that ``fit`` is asked for.

    Raises:
      TypeError, ValueError: keys that are not two names; chunk_bytes below 1.
    """
    if not (isinstance(keys, tuple | list) and len(keys) == 2):
        raise TypeError(
            f"keys must be two names, of inputs and of labels, found {found(keys)}; "
            "pass keys=('image', 'label')"
        )
    count = as_count(chunk_bytes, "chunk_bytes")
    return Reading((keys[0], keys[1]), count, resumable, processes)


def is_stream(data: Any) -> bool:
    """Whether data are batches one after the other: no array, and no pair or dict of arrays."""
    is_array = hasattr(data, "__array__") or hasattr(data, "dtype")
    return not (is_array or isinstance(data, tuple | Mapping | str | bytes))


class Batch(NamedTuple):
    """Inputs (b, ...), in the end in the dtype of a program, and labels (b, ...) as given."""

    inputs: np.ndarray
    labels: np.ndarray


class Batches:
    """Reads batches of one size, shape and dtype, those of the first one.

    One with fewer rows is dropped and counted: loaders give it at the end of an epoch.

    Args:
      data: an iterable of batches.
      reading: how.

    Attributes:
      given: the first batch as it was read.
      first: the same in the dtype of a program.
      dropped: the numbers of those that were dropped.

    Raises:
      ValueError, TypeError: no batches, or something else; as ``Reader``.
    """

    def __init__(self, data: Any, reading: Reading):
        self._reader = Reader(data, resumable=reading.resumable)
        self._keys = reading.keys
        self.dropped: list[int] = []
        self.given = self._read_first()
        self.first = self._in_program(self.given)
        self._digest = digest(self.given) if reading.resumable else ""
        self._is_first_next = True

    def _read_first(self) -> Batch:
        batch = self._reader.read()
        if batch is END:
            raise ValueError("data must hold at least one batch, found none")
        with self._named():
            inputs, labels = pair_of(batch, self._keys)
            require_readable(inputs, labels)
            if np.ndim(labels) == 0:
                raise TypeError(
                    f"labels must be one per row, found {found(labels)}: a sample, no batch; batch "
                    "the data, as by loader.batch(64)"
                )
            given = Batch(np.asarray(as_numbers(inputs, "inputs")), np.asarray(as_labels(labels)))
            _require_rows(given)
        return given

    @property
    def number(self) -> int:
        """Of the batch that comes next, counted from 0, dropped ones included."""
        return self._reader.batches - self._is_first_next

    def next(self) -> Batch | None:
        """The next batch; None after the last one.

        Raises:
          ValueError, TypeError: it is unlike the first one.
        """
        if self._is_first_next:
            self._is_first_next = False
            return self.first
        is_after_short = False
        while (given := self._reader.read()) is not END:
            with self._named():
                batch = self._like_first(given)
            if len(batch.inputs) == len(self.first.inputs):
                return self._in_program(batch)
            if is_after_short:
                raise ValueError(
                    f"batches of data must have the {len(self.first.inputs)} rows of the first "
                    f"one, found {len(batch.inputs)}, and fewer in the one before too; make them "
                    "of one size"
                )
            is_after_short = True
            self.dropped.append(self._reader.batches - 1)
        return None

    def _like_first(self, batch: Any) -> Batch:
        """Inputs and labels as they were given, of the shapes and dtypes of the first ones."""
        inputs, labels = pair_of(batch, self._keys)
        require_readable(inputs, labels)
        first = self.given
        # What is an array of that dtype already needs no look at its kind.
        if not _is_of(inputs, first.inputs.dtype):
            inputs = np.asarray(as_numbers(inputs, "inputs"))
        if not _is_of(labels, first.labels.dtype):
            labels = np.asarray(as_labels(labels))
        given = Batch(inputs, labels)
        for name, x, of_first in zip(Batch._fields, given, first, strict=True):
            is_alike = x.dtype == of_first.dtype and x.shape[1:] == of_first.shape[1:]
            if x.ndim == 0 or not is_alike or len(x) > len(of_first):
                raise ValueError(
                    f"{name} must be {of_first.dtype} of shape {of_first.shape} as in the first "
                    f"batch, found {x.dtype} of shape {x.shape}"
                )
        _require_rows(given)
        return given

    def _in_program(self, batch: Batch) -> Batch:
        with self._named():
            inputs = np.asarray(as_program_numbers(batch.inputs, "inputs"))
        return batch._replace(inputs=inputs)

    def _named(self) -> AbstractContextManager[None]:
        return batch_named(f"batch {self._reader.batches - 1} of data")

    def position(self) -> Position | None:
        """Where the next batch is; None unless resumable."""
        position = self._reader.position()
        if position is None:
            return None
        return position | {"start": self._reader.start, "first": self._digest}

    def go_to(self, position: Position) -> None:
        """Go on where other batches of the same data stood.

        Raises:
          ValueError: they are of other data; as ``Reader.go_to``.
        """
        if position["start"] != self._reader.start:
            self._reader.go_to(position["start"])
            self._digest = digest(self._read_first())
        if position["first"] != self._digest:
            raise ValueError(
                "data must be those of the run in the checkpoint, found another first batch; pass "
                "what it was saved with, or another folder"
            )
        self._reader.go_to(position)
        self._is_first_next = False

    def close(self) -> None:
        """End what the stream runs."""
        self._reader.close()

    def warn_of_dropped(self) -> None:
        """Say how many batches were dropped, if any."""
        if self.dropped:
            warn(
                f"{len(self.dropped)} batches of data had fewer rows than the "
                f"{len(self.first.inputs)} of the first one and were dropped; let the loader drop "
                "the remainder",
                UserWarning,
            )


def require_readable(inputs: Any, labels: Any) -> None:
    """Raise for arrays that are split over processes already."""
    remedy = (
        "pass what each process has read, as numpy arrays; where these are rows of its own, in "
        "batches by training.ProcessLocal"
    )
    for name, x in (("inputs", inputs), ("labels", labels)):
        require_values(x, name, remedy)


def _is_of(x: Any, dtype: np.dtype) -> bool:
    return type(x) is np.ndarray and x.dtype == dtype


def _require_rows(batch: Batch) -> None:
    inputs, labels = batch
    if inputs.ndim == 0 or len(inputs) != len(labels):
        raise ValueError(
            "inputs and labels must have as many rows, "
            f"found shapes {inputs.shape} and {labels.shape}"
        )


def pair_of(data: Any, keys: Keys) -> tuple[Any, Any]:
    """Inputs and labels of a pair, or the entries of a dict."""
    if isinstance(data, Mapping):
        inputs, labels = entries(data, keys, "a dict")
        return inputs, labels
    if isinstance(data, tuple | list) and len(data) == 2:
        return data[0], data[1]
    raise TypeError(
        f"batches must be pairs (inputs, labels) or dicts with the keys {keys[0]!r} and "
        f"{keys[1]!r}, found {found(data)}; map them to pairs"
    )


@contextmanager
def batch_named(place: str) -> Iterator[None]:
    """Errors in here say where they are."""
    try:
        yield
    except TypeError as error:
        raise TypeError(f"{place}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
