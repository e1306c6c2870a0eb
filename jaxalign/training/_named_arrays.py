"""A state as arrays by name, and back: what checkpoints hold and digests are made of."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax

from jaxalign._core.mesh import is_key


def named_arrays(tree: Any) -> Iterator[tuple[str, Any]]:
    """The leaves by name, as "model.hidden_1.kernel.value", random keys as the numbers they are
    made of.

    Each has a name of its own: where keys hold dots, {"a.b": x, "a": {"b": y}}, the second is
    called "a.b~2".
    """
    taken: set[str] = set()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = _free(jax.tree_util.keystr(path, simple=True, separator="."), taken)
        taken.add(name)
        yield name, jax.random.key_data(leaf) if is_key(leaf) else leaf


def _free(name: str, taken: set[str]) -> str:
    number = 2
    free = name
    while free in taken:
        free = f"{name}~{number}"
        number += 1
    return free


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
