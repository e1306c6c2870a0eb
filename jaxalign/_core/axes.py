"""The border where arrays come off the explicit axes of a mesh: whatever mesh they are on, the same
function computes with them.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
from jax import Array
from jax.sharding import AbstractMesh, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxalign._core.mesh import computed_on, require_one_place
from jaxalign._core.varying import varying_alike

Result = TypeVar("Result")


def on_automatic_axes(
    function: Callable[..., Result], *arguments: Any, by_rows: bool = False
) -> Result:
    """``function(*arguments)``, in which the compiler splits the work over the axes of the mesh.

    Inside ``shard_map``, all arrays differ over the same axes from there on.

    Over explicit axes, how an array is split is part of its type, and most operations refuse rows
    that are split. Every public function of arrays passes through here, on whatever mesh its
    arguments are, eager or traced. An eager call is computed on that mesh, whatever mesh is in
    use.

    Args:
      function: of pytrees, to a pytree of arrays.
      arguments: all arrays that it uses, since one that it closes over keeps its type.
      by_rows: whether row i of the result is made from row i of the first argument. Then the rows
        of the result are split likewise. Otherwise the result is on every device, but for the
        axes of ``vmap``, which stay as they are.

    Raises:
      ValueError: arrays on different devices, or split over different meshes (eager calls).
    """
    arguments = varying_alike(arguments)
    arrays = [x for x in jax.tree.leaves(arguments) if isinstance(x, jax.Array)]
    mesh = _explicit_mesh(arrays)
    require_one_place(arrays, mesh)
    with computed_on(mesh):
        if mesh is None:
            return function(*arguments)
        rows = jax.typeof(arrays[0]).sharding.spec[:1] if by_rows else ()
        out_sharding = NamedSharding(mesh, P(*rows))
        leaves, tree = jax.tree.flatten(arguments)

        def of_arrays(*arrays: Array) -> Result:
            # Arrays of numpy have no type on a mesh, and keep their dtype.
            rest = iter(arrays)
            filled = [next(rest) if isinstance(x, jax.Array) else x for x in leaves]
            return function(*jax.tree.unflatten(tree, filled))

        axes = mesh.explicit_axes
        return jax.sharding.auto_axes(of_arrays, axes=axes, out_sharding=out_sharding)(*arrays)


def _explicit_mesh(arrays: list[Array]) -> Mesh | AbstractMesh | None:
    """The mesh with explicit axes that one of the arrays is on."""
    for x in arrays:
        if jax.typeof(x).sharding.mesh.explicit_axes:
            # A tracer knows the type of its mesh, but not the devices.
            is_traced = isinstance(x, jax.core.Tracer)
            split = cast(NamedSharding, jax.typeof(x).sharding if is_traced else x.sharding)
            return split.mesh
    return None
