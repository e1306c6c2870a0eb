"""Streams of batches: what is a stream, and what is a batch of one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from jaxalign._core.kinds import found

_T = TypeVar("_T")


def require_stream(batches: Any, of: str) -> None:
    """Raise unless ``batches`` can be iterated over and is not an array or a dict itself.

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


def each_batch(batches: Iterable[Any], of: str, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The batches of a stream, each of two arrays or of three, the last one weights.

    Args:
      batches: tuples, or dicts, as grain's loaders give.
      of: what a batch is, for the message.
      keys: of the arrays in a dict.

    Raises:
      TypeError: no stream; a batch that is an array, or of another number.
      ValueError: a dict without one of the keys.
    """
    require_stream(batches, of)
    require_keys(keys, of)
    for position, batch in enumerate(batches):
        if isinstance(batch, Mapping):
            yield entries(batch, keys, f"batch {position} of batches")
            continue
        if not isinstance(batch, list | tuple) or len(batch) not in (2, 3):
            raise TypeError(
                f"batches must be {of} or {of[:-1]}, weights), "
                f"found {found(batch)} at position {position}; pass [{of}] for one batch"
            )
        yield tuple(batch)


def first_of(parts: Iterator[_T], of: str) -> _T:
    """The first part of a stream of batches.

    Raises:
      ValueError: there is none.
    """
    for part in parts:
        return part
    raise ValueError(f"batches must yield at least one {of}, found none; is the iterator used up?")


def require_keys(keys: Any, of: str) -> None:
    """Raise unless these are names of two arrays, or of three."""
    if isinstance(keys, str) or not isinstance(keys, Sequence) or len(keys) not in (2, 3):
        raise TypeError(
            f"keys must be the names of {of} in a dict, and perhaps of weights, "
            f"found {found(keys)}; pass keys=('image', 'label'), say"
        )


def entries(batch: Mapping[Any, Any], keys: Sequence[str], name: str) -> tuple[Any, ...]:
    """The entries of a dict by their keys.

    Raises:
      ValueError: it lacks one; the message names those it has.
    """
    missing = [key for key in keys if key not in batch]
    if missing:
        wanted = " and ".join(map(repr, keys))
        raise ValueError(
            f"{name} must have the keys {wanted}, found {', '.join(map(repr, batch))}; "
            "name its own by keys="
        )
    return tuple(batch[key] for key in keys)
