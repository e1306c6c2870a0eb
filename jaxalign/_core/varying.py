"""Under ``shard_map``, over which axes of the mesh an array differs between devices is part of its
type. Derivatives and loops take only arrays that agree in it; a constant, which differs over none,
has to be told.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax


def is_in_shard_map() -> bool:
    """Whether this is traced for one of several devices."""
    return bool(jax.sharding.get_abstract_mesh().manual_axes)


def varying_axes(x: Any) -> frozenset[str]:
    """The axes of the mesh over which an array, or a type, differs between devices."""
    kind = x if hasattr(x, "manual_axis_type") else jax.typeof(x)
    # Outside shard_map a ShapeDtypeStruct has none.
    return getattr(kind.manual_axis_type, "varying", frozenset())


def varying_over(x: Array, axes: Iterable[str]) -> Array:
    """``x``, of the type of an array that also differs over these axes."""
    return lax.pcast(x, tuple(sorted(set(axes) - varying_axes(x))), to="varying")


def varying_alike(tree: Any) -> Any:
    """The tree, whose arrays of floats differ over the same axes."""
    if not is_in_shard_map():
        return tree
    leaves, structure = jax.tree.flatten(tree)
    numbers = [i for i, x in enumerate(leaves) if _is_of_floats(x)]
    axes = frozenset[str]().union(*(varying_axes(leaves[i]) for i in numbers))
    if axes:
        for i in numbers:
            leaves[i] = varying_over(leaves[i], axes)
    return jax.tree.unflatten(structure, leaves)


def _is_of_floats(x: Any) -> bool:
    return isinstance(x, jax.Array | np.ndarray) and jnp.issubdtype(x.dtype, jnp.floating)


def varying_as_after(step: Callable[[Any], Any], start: Any) -> Any:
    """``start`` of a loop, whose arrays have the types that a step gives them."""
    if not is_in_shard_map():
        return start
    leaves, structure = jax.tree.flatten(start)
    # With each turn at least one more leaf has the type that it keeps.
    for _ in leaves:
        after = jax.make_jaxpr(step)(jax.tree.unflatten(structure, leaves)).out_avals
        pairs = zip(leaves, after, strict=True)
        leaves = [varying_over(x, varying_axes(result)) for x, result in pairs]
    return jax.tree.unflatten(structure, leaves)
