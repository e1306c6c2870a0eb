"""Streams of batches: what is a stream, and what is a batch of one."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jaxalign._core.kinds import found


def require_stream(batches: Any, of: str) -> None:
    """Raise unless ``batches`` can be iterated over and is no array or dict itself.

    Args:
      batches: what was passed.
      of: what a batch is, for the message: "(features, targets)".
    """
    can_be_read = hasattr(batches, "__iter__") or hasattr(batches, "__getitem__")
    is_other = isinstance(batches, str | bytes | Mapping | type) or hasattr(batches, "shape")
    if is_other or not can_be_read:
        raise TypeError(
            f"batches must be a list or a stream of {of}, found {found(batches)}; pass [{of}]"
        )


def each_batch(batches: Iterable[Any], of: str) -> Iterator[tuple[Any, ...]]:
    """The batches of a stream, each of two arrays or of three, the last one weights.

    Raises:
      TypeError: no stream; a batch that is an array, a dict, or of another number.
    """
    require_stream(batches, of)
    for position, batch in enumerate(batches):
        if not isinstance(batch, list | tuple) or len(batch) not in (2, 3):
            raise TypeError(
                f"batches must be {of} or {of[:-1]}, weights), "
                f"found {found(batch)} at position {position}; pass [{of}] for one batch"
            )
        yield tuple(batch)
