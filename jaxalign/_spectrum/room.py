"""Whether sums over rows fit in memory, asked before any is computed."""

from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

import jax

from jaxalign._core.known import is_concrete
from jaxalign._core.memory import available, readable

ONE_SUM = 3
"""The most arrays of its size that exist while one sum is computed."""

SPECTRUM = 6
"""And while sums are added, and their eigenvectors computed."""

# Sums smaller than this fit anywhere.
_WORTH_A_LOOK = 2**28


def require_room(features: Any, targets: Any, itemsize: int, copies: int) -> None:
    """Raise where the sums of Φ (n, d) and Y (n, k) do not fit on the device that they are on.

    Args:
      features: Φ; traced ones pass, and what is not an array, which is never large.
      targets: Y.
      itemsize: bytes of a number of the sums.
      copies: how many arrays of their size there will be at once.
    """
    shape: tuple[int, ...] = getattr(features, "shape", ())
    if len(shape) != 2:
        return
    d = shape[1]
    k = prod(getattr(targets, "shape", ())[1:])
    require_room_for(
        itemsize * (d + 2) * (d + 1 + k),
        copies,
        features,
        f"features of d = {d:,} columns",
        ", or of fewer rows than columns spectrum(features, targets), which needs n × n",
    )


def require_room_for(size: int, copies: int, rows: Any, found: str, remedy: str = "") -> None:
    """Raise where so many arrays of a size in bytes do not fit on the device of their rows.

    Args:
      size: of the sums.
      copies: how many arrays of that size there will be at once.
      rows: what is summed; traced ones pass.
      found: what the message calls them.
      remedy: what to do besides passing fewer columns.
    """
    if size < _WORTH_A_LOOK or not is_concrete(rows):
        return
    device = jax.local_devices()[0]
    if isinstance(rows, jax.Array):
        device = next(iter(rows.devices()))
    left = available(device)
    if left is None or copies * size <= left:
        return
    raise ValueError(
        f"{found} need {readable(copies * size)} of memory, {copies} arrays of their sums of "
        f"{readable(size)}, and {readable(left)} are available on the {device.platform}; pass "
        f"fewer columns, as of a pooled or projected layer{remedy}"
    )


def with_room(batches: Iterable[tuple[Any, ...]], itemsize: int) -> Iterator[tuple[Any, ...]]:
    """The batches of a stream, once there is known to be room for the spectrum of their sums."""
    for position, batch in enumerate(batches):
        if position == 0:
            features, targets = batch[:2]
            require_room(features, targets, itemsize, SPECTRUM)
        yield batch
