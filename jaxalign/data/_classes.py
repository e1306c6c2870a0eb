"""A choice among the classes of a data set of images, and their pixels as networks take them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int32, UInt8


def chosen_classes(classes: Sequence[int] | None, count: int) -> tuple[int, ...]:
    """The classes to keep of 0 ... count − 1: all for None.

    Raises:
      ValueError: not two or more different ones.
    """
    if classes is None:
        return tuple(range(count))
    chosen = tuple(classes)
    if len(chosen) < 2 or len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(count)):
        raise ValueError(
            f"classes must be two or more different numbers among 0...{count - 1}, found {chosen}"
        )
    return chosen


def scaled_classes(
    images: UInt8[np.ndarray, "n ..."], numbers: UInt8[np.ndarray, " n"], chosen: Sequence[int]
) -> tuple[Float32[np.ndarray, "m ..."], Int32[np.ndarray, " m"]]:
    """The images of the chosen classes, pixels (x/255 − 0.5)/0.5, and their positions in them."""
    position = np.full(np.iinfo(np.uint8).max + 1, -1, np.int32)
    position[list(chosen)] = np.arange(len(chosen))
    labels = position[numbers]
    members = labels >= 0
    return (images[members].astype(np.float32) / 255 - 0.5) / 0.5, labels[members]
