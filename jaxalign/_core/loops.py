"""A loop in place of a batch, on each device of those that the batch is split over."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxalign._core.kinds import require_known_sizes
from jaxalign._core.platform import NO_MESH
from jaxalign._core.varying import varying_as_after


def scan(step: Callable[[Any, Any], tuple[Any, Any]], start: Any, rows: Any) -> tuple[Any, Any]:
    """``lax.scan``, which may start from a constant under ``shard_map`` too."""
    first = jax.tree.map(lambda x: x[0], rows)
    return lax.scan(step, varying_as_after(lambda state: step(state, first)[0], start), rows)


def repeated(count: int, step: Callable[[Any, Any], Any], start: Any) -> Any:
    """``lax.fori_loop`` from 0, which may start from a constant under ``shard_map`` too."""
    begin, end = np.int32(0), np.int32(count)
    return lax.fori_loop(begin, end, step, varying_as_after(partial(step, begin), start))


def looped(function: Callable, at_once: int = 1) -> Callable:
    """``function`` of arrays, of which every ``vmap`` is one loop over the whole batch, ``at_once``
    calls per iteration. Where the batch is split over devices, each loops over its own part.
    """
    # Not `sequential_vmap`: each further vmap makes a loop inside its loop, and XLA gathers a batch
    # that is split over devices before it.
    return _over_batch(partial(_loop_over, function, at_once), 0)


def in_turn_if_few(
    function: Callable[[Array], Any], are_few: Callable[[int, Array], bool]
) -> Callable[[Array], Any]:
    """``function`` of an array, which also takes leading axes, of which every ``vmap`` is a call
    for each entry of the whole batch where ``are_few(entries, stack)``, else one call of the stack.

    A batch that may be split over devices stays one stack, since a single entry of it would have to
    be gathered: on a mesh, be it in use or that of the array.
    """

    def over(axes: int) -> Callable:
        def of_stack(stack: Array) -> Any:
            batch = stack.shape[:axes]
            entries = math.prod(batch)
            if entries <= 1 or _may_be_split(stack, axes) or not are_few(entries, stack):
                return function(stack)
            each = [function(x) for x in stack.reshape(entries, *stack.shape[axes:])]
            return jax.tree.map(lambda *x: jnp.stack(x).reshape(*batch, *x[0].shape), *each)

        return of_stack

    return _over_batch(over, 0)


def _may_be_split(stack: Array, axes: int) -> bool:
    own = jax.typeof(stack).sharding
    meshes = own.mesh, jax.sharding.get_abstract_mesh()
    return any(own.spec[:axes]) or any(map(_is_over_devices, meshes))


def _is_over_devices(mesh: Any) -> bool:
    # Under shard_map a device has its own part of the batch.
    others = set(mesh.axis_names) - set(mesh.manual_axes)
    return any(mesh.shape[name] > 1 for name in others)


def _over_batch(over: Callable[[int], Callable], axes: int) -> Callable:
    """``over(axes)``, a function of a batch of so many leading axes, with a rule for ``vmap``. Of
    axes that an array does not have, its length is 1.
    """
    of_batch = jax.custom_batching.custom_vmap(over(axes))

    @of_batch.def_vmap
    def of_larger_batch(axis_size: int, in_batched: list[bool], *arrays: Array) -> tuple[Any, Any]:
        require_known_sizes((axis_size,), "a batch")
        stacks = [
            x if is_batched else x[None] for x, is_batched in zip(arrays, in_batched, strict=True)
        ]
        results = _over_batch(over, axes + 1)(*stacks)
        return results, jax.tree.map(lambda _: True, results)

    return of_batch


def _loop_over(function: Callable, at_once: int, axes: int) -> Callable:
    if axes == 0:
        return function

    def loop(*stacks: Array) -> Any:
        batch = np.broadcast_shapes(*(x.shape[:axes] for x in stacks))
        size = math.prod(batch)
        # What all calls share is not copied for each.
        shared = [x.reshape(x.shape[axes:]) if _is_one(x, axes) else None for x in stacks]
        rows = [
            None
            if _is_one(x, axes)
            else jnp.broadcast_to(x, batch + x.shape[axes:]).reshape(size, *x.shape[axes:])
            for x in stacks
        ]

        def step(carry: None, own: list[Array | None]) -> tuple[None, Any]:
            arrays = zip(shared, own, strict=True)
            return carry, function(*[x if y is None else y for x, y in arrays])

        results = lax.scan(step, None, rows, size, unroll=min(at_once, size))[1]
        return jax.tree.map(lambda x: x.reshape(*batch, *x.shape[1:]), results)

    split_loop = custom_partitioning(loop)
    split_loop.def_partition(
        partial(_on_each_device, loop, axes), sharding_rule=partial(_split_by_batch, axes)
    )

    def over_batch(*stacks: Array) -> Any:
        # Under shard_map this is the part of one device; where it leaves some axes of the mesh to
        # the compiler, custom_partitioning gives wrong numbers.
        is_of_one_device = any(jax.typeof(x).sharding.mesh.manual_axes for x in stacks)
        return loop(*stacks) if is_of_one_device else split_loop(*stacks)

    return over_batch


def _is_one(x: Array, axes: int) -> bool:
    return math.prod(x.shape[:axes]) == 1


def _split_by_batch(
    axes: int, mesh: Any, operands: Sequence[Any], results: Sequence[Any]
) -> tuple[str, dict]:
    """Shardy's rule: arrays may be split over the axes of the batch, and no others."""
    whole: list[str] = []

    def name_of(axis: int, size: int) -> str:
        if axis < axes and size > 1:
            return f"batch{axis}"
        whole.append(f"whole{len(whole)}")
        return whole[-1]

    def names_of(arrays: Sequence[Any]) -> str:
        return ", ".join(" ".join(map(name_of, range(x.rank), x.shape)) for x in arrays)

    rule = f"{names_of(operands)} -> {names_of(results)}"
    return rule, {"need_replication_factors": tuple(whole)}


def _on_each_device(loop: Callable, axes: int, mesh: Mesh, arguments: Any, results: Any) -> tuple:
    """What each device runs, and how arguments and results are split: as the compiler chose for the
    axes of the batch. For others it may have chosen something in spite of the rule.
    """

    def local(*stacks: Array) -> Any:
        # Traced by the compiler, outside the scope that the call was in.
        with jax.enable_x64(True), jax.sharding.use_abstract_mesh(NO_MESH):
            return loop(*stacks)

    if mesh.empty:
        # The devices are those of the mesh in use, over which no array is split.
        devices = jax.tree.leaves(arguments)[0].sharding.device_set
        mesh = Mesh(sorted(devices, key=lambda device: device.id), ("devices",))

    def by_batch(x: jax.ShapeDtypeStruct) -> NamedSharding:
        spec = x.sharding.spec[:axes] if isinstance(x.sharding, NamedSharding) else ()
        return NamedSharding(mesh, P(*spec))

    return mesh, local, *jax.tree.map(by_batch, (results, arguments))
