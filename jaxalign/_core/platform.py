"""Programs that differ on a TPU, chosen where they are lowered: until then nobody knows the
platform of a traced array.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
from jax import Array
from jax.extend import core
from jax.interpreters import batching, mlir
from jax.sharding import AbstractMesh

Result = TypeVar("Result")

NO_MESH = AbstractMesh((), ())
"""In use where what is traced must not know of the mesh around it."""

_deferred_p = core.Primitive("deferred")
_deferred_p.multiple_results = True


def on_platform(
    usual: Callable[..., Result], on_tpu: Callable[..., Result], *arrays: Array
) -> Result:
    """``usual(*arrays)``, or ``on_tpu(*arrays)`` where the program is lowered for a TPU.

    Both return a pytree of arrays of the same shapes and dtypes. ``on_tpu`` has no collectives. It
    is traced where the program is lowered and not before, so it costs other platforms nothing; it
    may also raise.
    """
    program, like = jax.make_jaxpr(usual, return_shape=True)(*arrays)
    tree = jax.tree.structure(like)

    def deferred(*arrays: Array) -> Result:
        results = _deferred_p.bind(*arrays, run=on_tpu, types=tuple(program.out_avals))
        return jax.tree.unflatten(tree, results)

    def default(*arrays: Array) -> Result:
        return jax.tree.unflatten(tree, core.jaxpr_as_fun(program)(*arrays))

    return jax.lax.platform_dependent(*arrays, tpu=deferred, default=default)


def _types(*arrays: Any, run: Callable, types: tuple) -> tuple:
    return types


def _lowered(context: Any, *operands: Any, run: Callable, types: tuple) -> Any:
    def flat(*arrays: Array) -> list[Array]:
        # float64 among the arguments is float64 here, whatever the setting around the lowering.
        with jax.enable_x64(True):
            return jax.tree.leaves(run(*arrays))

    # What is traced still later, in the lowering of the SVD, must not make float64 of its own.
    with jax.enable_x64(False), jax.sharding.use_abstract_mesh(NO_MESH):
        program = mlir.lower_fun(flat, multiple_results=True)
        return program(context.replace(avals_in=_without_mesh(context.avals_in)), *operands)


def _without_mesh(types: Sequence[Any]) -> list[Any]:
    """The types of arrays of one device. Those on a mesh also say over which axes it is split, and
    loops, as in jax's own SVD, take only what agrees in that: here the compiler splits the work, or
    ``shard_map`` has.
    """
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in types]
    with jax.enable_x64(True):
        return jax.make_jaxpr(lambda *arrays: arrays)(*shapes).in_avals


def _batched(
    operands: Sequence[Any], places: Sequence[int | None], *, run: Callable, types: tuple
) -> tuple[Any, list[int]]:
    size = next(x.shape[at] for x, at in zip(operands, places, strict=True) if at is not None)
    results = _deferred_p.bind(
        *operands,
        run=jax.vmap(run, in_axes=tuple(places), axis_size=size),
        types=tuple(x.update(shape=(size, *x.shape)) for x in types),
    )
    return results, [0] * len(results)


_deferred_p.def_abstract_eval(_types)
mlir.register_lowering(_deferred_p, _lowered)
batching.primitive_batchers[_deferred_p] = _batched
