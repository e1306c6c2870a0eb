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


def require_kept(before: Any, after: Any) -> None:
    """Raise unless a step keeps the names, shapes and dtypes of a state, as a loop needs it.

    Raises:
      ValueError: another structure, shape or dtype.
    """
    old, new = (
        {path: jax.typeof(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (before, after)
    )
    for path in old | new:
        if path not in old or path not in new or not _holds(old[path], new[path]):
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            raise ValueError(
                f"a step must keep the shape and dtype of {name!r}, found "
                f"{_shown(new.get(path))} after {_shown(old.get(path))}"
            )


def _holds(old: Any, new: Any) -> bool:
    """Whether an array takes the values of a new one."""
    if old.shape != new.shape or old.dtype == new.dtype:
        return old.shape == new.shape
    return bool(jnp.result_type(old, new) == old.dtype)


def _shown(kind: Any) -> str:
    return "none" if kind is None else f"{kind.dtype} {kind.shape}"
