"""One function of several trees of arrays: those of equal shapes as one batch, where that gains."""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxalign._core.float64 import float64_inside
from jaxalign._core.known import is_concrete


def of_alike(function: Callable[[Any], Any], arguments: Sequence[Any]) -> list[Any]:
    """[function(x) for x in arguments], in a program for an accelerator with those of equal shapes
    as one batch. A CPU is as fast without, and an eager call would compile the batch every time.

    Args:
      function: of one tree of arrays.
      arguments: the trees.
    """
    if all(map(is_concrete, jax.tree.leaves(arguments))):
        return _each(function, arguments)
    groups: dict[Hashable, list[int]] = {}
    for i, argument in enumerate(arguments):
        leaves, structure = jax.tree.flatten(argument)
        shapes = tuple((x.shape, x.dtype) for x in leaves)
        groups.setdefault((structure, shapes), []).append(i)
    results: dict[int, Any] = {}
    for numbers in groups.values():
        members = [arguments[i] for i in numbers]
        results |= zip(numbers, _of_equal_shapes(function, members), strict=True)
    return [results[i] for i in range(len(arguments))]


def _of_equal_shapes(function: Callable[[Any], Any], members: list[Any]) -> list[Any]:
    if len(members) == 1:
        return _each(function, members)
    return jax.lax.platform_dependent(
        members, cpu=partial(_each, function), default=partial(_as_batch, function)
    )


def _each(function: Callable[[Any], Any], members: Sequence[Any]) -> list[Any]:
    return [function(x) for x in members]


def _as_batch(function: Callable[[Any], Any], members: list[Any]) -> list[Any]:
    stacked = float64_inside(lambda *trees: jax.tree.map(lambda *x: jnp.stack(x), *trees))
    batch = jax.vmap(function)(stacked(*members))
    return [jax.tree.map(lambda x, i=i: x[i], batch) for i in range(len(members))]
