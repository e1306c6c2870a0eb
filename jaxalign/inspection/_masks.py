"""Which positions of a batch are padding: what a user's function says, checked before the model
runs.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from jaxalign.inspection._plan import LayerPlan, shape_of

Mask = Callable[..., Any]
"""From the arguments of the model to (n, t) booleans, False for padding."""


def mask_of(
    mask: Mask, arguments: tuple[Any, ...], weights: Float[np.ndarray, " n"]
) -> Bool[Array, "n t"]:
    """The mask of a batch.

    It is an array of the program, not a part of it: what a function closes over may change.

    Raises:
      TypeError: no array of booleans or integers.
      ValueError: not (n, t); other integers than 0 and 1; a row that counts without a position.
    """
    n = shape_of(arguments[0])[0]
    counted = mask(*map(jnp.asarray, arguments))
    shape = getattr(counted, "shape", None)
    if shape is None or len(shape) != 2 or shape[0] != n:
        found = type(counted).__name__ if shape is None else f"shape {tuple(shape)}"
        raise ValueError(f"mask must return booleans (n, t) of n = {n} rows, found {found}")
    counted = jnp.asarray(counted)
    if not (counted.dtype == bool or jnp.issubdtype(counted.dtype, jnp.integer)):
        raise TypeError(
            f"mask must return booleans, or integers 0 and 1, found {counted.dtype}; "
            "return mask > 0"
        )
    if counted.is_fully_addressable:
        _require_values(np.asarray(counted), weights)
    return counted.astype(bool)


def _require_values(counted: np.ndarray, weights: Float[np.ndarray, " n"]) -> None:
    if not np.isin(counted, (0, 1)).all():
        raise ValueError(
            f"mask must return 0 and 1 only, found {counted.min()} ... {counted.max()}; "
            "return mask > 0"
        )
    empty = np.flatnonzero(~counted.any(axis=1) & (weights > 0))
    if empty.size:
        raise ValueError(
            f"mask must keep a position of every row that counts, found none in {empty.size} rows, "
            f"as in row {empty[0]}; leave them out, or give them weight 0"
        )


def require_fit(counted: Bool[Array, "n t"] | None, layers: Mapping[str, LayerPlan]) -> None:
    """Raise for a mask of other positions than those of any layer: it would change nothing.

    Where no layer has positions there is nothing to leave out, and any mask goes.
    """
    shapes = {name: layer.shape[:-1] for name, layer in layers.items() if len(layer.shape) > 1}
    if counted is None or not shapes or counted.shape[1:] in shapes.values():
        return
    listed = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:4])
    raise ValueError(
        f"mask fits no layer: it has {counted.shape[1]} positions a row, and the layers {listed}; "
        "return a value for each position of a layer"
    )
