"""A state as arrays by name, and back: what checkpoints hold."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax

from jaxalign._core.digests import named_arrays
from jaxalign._core.mesh import is_key


def saved_arrays(tree: Any) -> Iterator[tuple[str, Any]]:
    """What a checkpoint holds: orbax takes no arrays without elements, as some optimizers have."""
    return ((name, x) for name, x in named_arrays(tree) if x.size > 0)


def as_state(arrays: Mapping[str, Any], like: Any) -> Any:
    """Arrays by name in the structure of ``like``, random keys as keys."""

    def restored(name: str, leaf: Any) -> Any:
        if leaf.size == 0:
            return leaf
        array = arrays[name]
        if is_key(leaf):
            return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf))
        return array

    leaves, structure = jax.tree.flatten(like)
    names = (name for name, _ in named_arrays(like))
    return jax.tree.unflatten(structure, map(restored, names, leaves))
