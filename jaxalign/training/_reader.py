"""Reads a stream batch by batch, and says where it stands: a later process goes on there."""

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from jaxalign._core.kinds import found

logger = logging.getLogger(__name__)

END: Any = object()
"""What a reader gives after the last batch."""

Position = dict[str, Any]
"""Where a stream stands, as JSON: {"batches": how many were read, "state": the iterator's own}."""


class Reader:
    """The batches of an iterable, one after the other.

    A position is the iterator's own state where it has ``get_state`` and ``set_state``, as grain's
    have. Else it is a number of batches, which are read again and dropped.

    Args:
      data: an iterable of batches, or an iterator.
      resumable: whether positions are asked for.

    Attributes:
      batches: how many were read.
      start: the position before the first batch; None unless resumable.

    Raises:
      TypeError: no iterable; a state that neither JSON nor bytes can hold.
      ValueError: positions of what can be read only once.
    """

    def __init__(self, data: Any, *, resumable: bool):
        self._data = data
        self._iterator: Any = _opened(data)
        self._resumable = resumable
        self.batches = 0
        if resumable and not (self._is_reopened or _has_state(self._iterator)):
            raise ValueError(
                f"data must be read again to resume from checkpoints, found {found(data)} that can "
                "be read only once; pass a loader or a list, or an iterator with get_state and "
                "set_state"
            )
        self.start = self.position()

    @property
    def _is_reopened(self) -> bool:
        """Whether ``iter`` of the data begins again."""
        return self._iterator is not self._data

    def read(self) -> Any:
        """The next batch, or END."""
        batch = next(self._iterator, END)
        self.batches += batch is not END
        return batch

    def position(self) -> Position | None:
        """Where the stream stands; None unless resumable."""
        if not self._resumable:
            return None
        state = _as_json(self._iterator) if _has_state(self._iterator) else None
        return {"batches": self.batches, "state": state}

    def go_to(self, position: Position) -> None:
        """Stand where another reader of the same data stood.

        Raises:
          ValueError: the iterator refuses the state; the data end before.
        """
        try:
            if position["state"] is None or not _has_state(self._iterator):
                self._skip(position["batches"])
            else:
                self._iterator.set_state(_from_json(position["state"]))
        # Whatever another library raises for the state of other data.
        except Exception as error:
            if not self._is_reopened or position["state"] is None:
                raise ValueError(
                    f"data cannot go on after {position['batches']} batches, where the checkpoint "
                    f"was saved: {error}; pass the loader of that run"
                ) from error
            logger.warning(
                "set_state of data refuses the state in the checkpoint (%s): reading %d batches "
                "again instead",
                error,
                position["batches"],
            )
            self._skip(position["batches"])
        self.batches = position["batches"]

    def _skip(self, batches: int) -> None:
        """Begin again, and drop so many."""
        if not self._is_reopened:
            raise ValueError("it can be read only once, and has no get_state and set_state")
        self.close()
        self._iterator = iter(self._data)
        for batch in range(batches):
            if next(self._iterator, END) is END:
                raise ValueError(f"it ended after {batch}")

    def close(self) -> None:
        """End the threads and processes of an iterator that was opened here."""
        close = getattr(self._iterator, "close", None)
        if self._is_reopened and callable(close):
            close()


def _opened(data: Any) -> Iterator[Any]:
    try:
        return iter(data)
    except TypeError:
        raise TypeError(
            f"data must be arrays or an iterable of batches, found {found(data)}; pass (inputs, "
            "labels), or a loader"
        ) from None


def _has_state(iterator: Any) -> bool:
    return hasattr(iterator, "get_state") and hasattr(iterator, "set_state")


def _as_json(iterator: Any) -> Mapping[str, Any]:
    """The state of an iterator."""
    state = iterator.get_state()
    if isinstance(state, bytes):
        return {"bytes": state.decode("latin-1")}
    try:
        is_kept = json.loads(json.dumps(state)) == state
    except (TypeError, ValueError):
        is_kept = False
    if not is_kept:
        raise TypeError(
            f"get_state of data must return bytes or what JSON holds, found {found(state)}; "
            "return that, or run without checkpoints"
        )
    return {"json": state}


def _from_json(state: Mapping[str, Any]) -> Any:
    if "bytes" in state:
        return state["bytes"].encode("latin-1")
    return state["json"]
