"""Whether the arrays of models can be trained: of floating point, and alike in all models."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_leaves_with_path

from jaxalign.capture._networks import Network


def require_parameters(network: Network, state: Any) -> None:
    """Raise unless there is something to train, of floating point."""
    parameters = tree_leaves_with_path(network.split(state)[0])
    if not parameters:
        raise ValueError(
            "model must have parameters to train, found none; of flax.nnx make them nnx.Param"
        )
    for path, leaf in parameters:
        dtype = jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.inexact):
            raise ValueError(
                f"parameter {_name(path)!r} of the model must be of floating point, found {dtype}, "
                "which has no gradient; keep it beside the parameters, as in an nnx.Variable or in "
                "another collection of flax.linen"
            )


def difference(first: Any, other: Any) -> str:
    """What differs in the arrays of two models beside their values; empty where nothing does."""
    one, two = (
        {path: f"{jnp.result_type(x)} {np.shape(x)}" for path, x in tree_leaves_with_path(state)}
        for state in (first, other)
    )
    for path in one | two:
        if one.get(path) != two.get(path):
            return f", in {_name(path)!r}: {two.get(path, 'none')}, not {one.get(path, 'none')}"
    return ""


def _name(path: Any) -> str:
    return keystr(path, simple=True, separator=".").removesuffix(".value")
