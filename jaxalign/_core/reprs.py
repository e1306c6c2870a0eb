"""What can be said of the leaves of a pytree, which transformations replace by shapes, axes,
shardings or anything else.
"""

from typing import Any

import jax
import numpy as np

from jaxalign._core.known import is_concrete


def are_readable(*leaves: Any) -> bool:
    """Whether all are arrays whose values can be read now."""
    return all(map(_is_readable, leaves))


def _is_readable(leaf: Any) -> bool:
    if not isinstance(leaf, jax.Array):
        return isinstance(leaf, np.ndarray | np.generic)
    if not is_concrete(leaf) or leaf.is_deleted():
        return False
    return leaf.is_fully_addressable or leaf.is_fully_replicated


def in_words(name: str, leaf: Any) -> str:
    """``name`` with the shape of the leaf, or with what stands in its place."""
    shape = getattr(leaf, "shape", None)
    if isinstance(shape, tuple):
        return f"{name} of shape {shape}"
    return f"{name}={leaf!r}"
