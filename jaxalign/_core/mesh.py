"""Arrays placed on a mesh of one axis, which may span several processes."""

from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding

from jaxalign._core.kinds import require_kind


def automatic(mesh: Mesh) -> Mesh:
    """The mesh with axes over which the compiler splits work by itself.

    Explicit axes make the sharding part of an array's type, which refuses rows placed elsewhere.
    """
    require_kind(mesh, Mesh, "mesh", "pass jax.make_mesh((jax.device_count(),), ('data',))")
    return Mesh(mesh.devices, mesh.axis_names)


def one_axis(mesh: Mesh) -> Mesh:
    """A mesh of one axis, made ``automatic``.

    Raises:
      ValueError: a mesh of several axes.
    """
    mesh = automatic(mesh)
    if len(mesh.axis_names) != 1:
        raise ValueError(f"mesh must have one axis, found {', '.join(map(repr, mesh.axis_names))}")
    return mesh


def put(tree: Any, sharding: NamedSharding) -> Any:
    """A tree of arrays, equal in every process, placed as the sharding says."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda x: _across_processes(x, sharding), tree)


def is_key(x: Any) -> bool:
    """Whether these are jax's typed random keys, which numpy cannot hold."""
    return isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def _across_processes(x: Array, sharding: NamedSharding) -> Array:
    # By way of the host: CPU devices of several processes cannot send arrays to each other.
    if is_key(x):
        return jax.random.wrap_key_data(
            _across_processes(jax.random.key_data(x), sharding), impl=jax.random.key_impl(x)
        )
    return jax.device_put(np.asarray(x), sharding)
