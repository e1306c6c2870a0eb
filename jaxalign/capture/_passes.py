"""What a forward pass in training gives."""

from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Pass(NamedTuple):
    """A forward pass.

    Attributes:
      outputs: of the model.
      rest: what of the state is not a parameter, updated.
      activations: of the layers that were asked for.
    """

    outputs: Any
    rest: Any
    activations: OrderedDict[str, Array]


def require_same_shapes(before: Any, after: Any) -> None:
    """Raise unless what a model updates keeps its names and shapes, as a loop needs it.

    Raises:
      ValueError: another structure, or another shape.
    """
    old, new = (
        {
            jax.tree_util.keystr(path, simple=True, separator="."): jnp.shape(leaf)
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }
        for tree in (before, after)
    )
    for name in old | new:
        if old.get(name) != new.get(name):
            raise ValueError(
                f"variable {name!r} of the model must keep its shape, found "
                f"{new.get(name, 'none')} after {old.get(name, 'none')}"
            )
