"""Batches as a loop, for what fills the cores and the caches of a CPU by itself and loses them when it is batched."""

from collections.abc import Callable

import jax


def looped(function: Callable) -> Callable:
    """``function`` of arrays, of which every ``vmap`` is a ``lax.map``."""
    single = jax.custom_batching.custom_vmap(function)

    @single.def_vmap
    def batched(axis_size, in_batched, *args):
        def one(split):
            own = iter(split)
            return single(*(next(own) if is_split else x for x, is_split in zip(args, in_batched, strict=True)))

        results = jax.lax.map(one, [x for x, is_split in zip(args, in_batched, strict=True) if is_split])
        return results, jax.tree.map(lambda _: True, results)

    return single
