"""A state as arrays by name, and back: what checkpoints hold and digests are made of."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax

from jaxalign._core.mesh import is_key


def named_arrays(tree: Any) -> Iterator[tuple[str, Any]]:
    """The leaves by name, as "model.hidden_1.kernel.value", random keys as the numbers they are
    made of.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield name_of(path), jax.random.key_data(leaf) if is_key(leaf) else leaf


def name_of(path: Any) -> str:
    """The name of a leaf."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def saved_arrays(tree: Any) -> Iterator[tuple[str, Any]]:
    """What a checkpoint holds: orbax takes no arrays without elements, as some optimizers have."""
    return ((name, x) for name, x in named_arrays(tree) if x.size > 0)


def as_state(arrays: Mapping[str, Any], like: Any) -> Any:
    """Arrays by name in the structure of ``like``, random keys as keys."""

    def restored(path: Any, leaf: Any) -> Any:
        if leaf.size == 0:
            return leaf
        array = arrays[name_of(path)]
        if is_key(leaf):
            return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf))
        return array

    return jax.tree_util.tree_map_with_path(restored, like)
