"""True float64 inside a float32 program.

``with jax.enable_x64(True)`` around the tracing of an operation is enough under ``jit`` and
``lax.scan``, but not under ``vmap`` of a function that was traced before: batching rewrites its
equations outside the context, where jax cuts float64 down to float32. The batching rule below
enters the context again, at any depth of ``vmap``.
"""

from collections.abc import Callable

import jax


def float64_inside(function: Callable) -> Callable:
    """``function`` (pytrees of arrays in and out) traced with float64 allowed, under every
    transformation except differentiation.

    Cast arguments up and results down inside ``function``: arguments and results obey the caller's
    x64 setting. Derivatives need a rule of their own around it (``jax.custom_vjp``).
    """

    @jax.custom_batching.custom_vmap
    def scoped(*args):
        with jax.enable_x64(True):
            return function(*args)

    @scoped.def_vmap
    def batched(axis_size, in_batched, *args):
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, tuple(in_batched))
        # The batched function needs the same rule, for the next vmap around this one.
        with jax.enable_x64(True):
            results = float64_inside(jax.vmap(function, in_axes=axes, axis_size=axis_size))(*args)
        return results, jax.tree.map(lambda _: True, results)

    return scoped
