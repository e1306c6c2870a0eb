"""Arrays placed on a mesh, which may span several processes."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxalign._core.kinds import require_kind

Axes = str | Sequence[str]
"""The name of an axis of a mesh, or of several over which something is split together."""


def automatic(mesh: Mesh) -> Mesh:
    """The mesh with axes over which the compiler splits work by itself.

    Explicit axes make the sharding part of an array's type, which refuses rows placed elsewhere.
    """
    require_kind(mesh, Mesh, "mesh", "pass jax.make_mesh((jax.device_count(),), ('data',))")
    return Mesh(mesh.devices, mesh.axis_names)


class Split(NamedTuple):
    """Over which axes of a mesh rows are split, the first one slowest."""

    mesh: Mesh
    axes: tuple[str, ...]

    @property
    def sharding(self) -> NamedSharding:
        """Of an array whose first axis are rows."""
        return NamedSharding(self.mesh, P(self.axes))

    @property
    def devices(self) -> int:
        """Into how many parts."""
        return math.prod(self.mesh.shape[axis] for axis in self.axes)


def split_over(mesh: Mesh, axis: Axes | None = None, name: str = "axis") -> Split:
    """Rows over axes of a mesh, made ``automatic``.

    Args:
      mesh: of any axes.
      axis: name of one, or of several; a mesh of one axis needs none.
      name: of the argument that names it.

    Raises:
      ValueError: an axis that the mesh has not, or that is named twice; none of several.
      TypeError: what is not a name.
    """
    mesh = automatic(mesh)
    names = ", ".join(map(repr, mesh.axis_names))
    if axis is None and len(mesh.axis_names) == 1:
        axis = mesh.axis_names
    if axis is None:
        raise ValueError(f"mesh has the axes {names}; say by {name}= which one the rows go over")
    axes = axis_names(axis, name)
    for each in axes:
        if each not in mesh.axis_names:
            raise ValueError(
                f"mesh has no axis {each!r} for the rows to go over, found {names}; "
                f"pass {name}= one of them, or another mesh"
            )
    return Split(mesh, axes)


def axis_names(axis: Axes, name: str) -> tuple[str, ...]:
    """The names of axes, given as one or as several.

    Raises:
      ValueError: none, or one that is named twice.
      TypeError: what is not a name.
    """
    remedy = "pass the name of an axis of the mesh, or a tuple of names"
    require_kind(axis, str | tuple | list, name, remedy)
    axes = (axis,) if isinstance(axis, str) else tuple(axis)
    for i, each in enumerate(axes):
        require_kind(each, str, f"{name}[{i}]", remedy)
    if not axes or len(set(axes)) < len(axes):
        raise ValueError(f"{name} must name axes of the mesh, each one once, found {axis!r}")
    return axes


def automatic_sharding(sharding: NamedSharding) -> NamedSharding:
    """The same on the mesh made ``automatic``."""
    mesh = sharding.mesh
    assert isinstance(mesh, Mesh)  # an array lies on devices
    return NamedSharding(automatic(mesh), sharding.spec, memory_kind=sharding.memory_kind)


def with_automatic_axes(x: Any) -> Any:
    """The same array in the same place, on its mesh made ``automatic``; anything else, and what is
    traced, as it is.
    """
    is_placed = isinstance(x, Array) and not isinstance(x, jax.core.Tracer)
    if not is_placed or not isinstance(x.sharding, NamedSharding):
        return x
    return jax.device_put(x, automatic_sharding(x.sharding))


def for_a_model(state: Any) -> Any:
    """A model's state with automatic axes, which most models need; where a mesh is in use, or in a
    trace, as it is: that model is for the axes it finds.
    """
    in_use = _mesh_in_use()
    if in_use is None or not in_use.empty:
        return state
    return jax.tree.map(with_automatic_axes, state)


def require_one_place(tree: Any, mesh: Any = None) -> None:
    """Raise for arrays that a user placed on different devices, or split over other axes than those
    of a mesh. Traced ones have no place yet.

    Args:
      tree: of arrays; those of numpy have no place.
      mesh: with explicit axes that one of them is on; None if there is none.

    Raises:
      ValueError: as above; the message tells arrays by their shapes.
    """
    arrays = [x for x in jax.tree.leaves(tree) if isinstance(x, Array)]
    placed = [x for x in arrays if not isinstance(x, jax.core.Tracer) and x.committed]
    for x in placed:
        if x.sharding == placed[0].sharding:
            continue
        devices = [_devices_of(each) for each in (placed[0], x)]
        if devices[0] != devices[1]:
            raise ValueError(
                "arrays must be on the same devices, in one order, found one of shape "
                f"{placed[0].shape} on {listed_devices(devices[0])} and one of shape {x.shape} on "
                f"{listed_devices(devices[1])}; put one where the other is by jax.device_put"
            )
    for x in placed if mesh is not None else ():
        own = getattr(x.sharding, "mesh", mesh)
        if own.shape != mesh.shape and not x.is_fully_replicated:
            raise ValueError(
                f"arrays must be split over one mesh, found one of shape {x.shape} on the mesh "
                f"{dict(own.shape)} beside the explicit axes {dict(mesh.shape)}; put it on that "
                "mesh by jax.device_put"
            )


def _devices_of(x: Array) -> list[Any]:
    if isinstance(x.sharding, NamedSharding):
        return list(x.sharding.mesh.devices.flat)
    return sorted(x.devices(), key=lambda device: device.id)


LISTED = 8
"""So many devices are shown in a message."""


def listed_devices(devices: Sequence[Any]) -> str:
    """Devices as a message names them."""
    names = ", ".join(map(str, devices[:LISTED]))
    return names if len(devices) <= LISTED else f"{names}, … ({len(devices)} devices)"


_NO_MESH = Mesh(np.empty((), object), ())


def computed_on(mesh: Any) -> AbstractContextManager[Any]:
    """Where another mesh is in use, this one is in its place, or None of them: an eager operation
    is computed where its arrays are. Inside a trace the one in use stays.
    """
    in_use = _mesh_in_use()
    if in_use is None or in_use.empty or in_use == mesh:
        return nullcontext()
    return jax.set_mesh(_NO_MESH if mesh is None else mesh)


def _mesh_in_use() -> Mesh | None:
    """An empty one if there is none; None inside a trace, where it cannot be known or changed."""
    try:
        return jax.sharding.get_mesh()
    except ValueError:
        return None


def require_no_trace(name: str) -> None:
    """Raise inside jit, vmap or grad, where a loop that reads values and calls back cannot run."""
    if _mesh_in_use() is None:
        raise TypeError(f"{name} cannot be part of jit, vmap or grad; call it outside")


def put_by_rows(x: np.ndarray, like: Any) -> Array:
    """Rows of numpy on the devices where a user placed the rows of an array of jax."""
    if not isinstance(like, jax.Array) or not like.committed:
        return jnp.asarray(x)
    sharding = like.sharding
    if isinstance(sharding, NamedSharding):
        sharding = NamedSharding(sharding.mesh, P(*sharding.spec[:1]))
    return jax.device_put(x, sharding)


def put(tree: Any, sharding: NamedSharding) -> Any:
    """A tree of arrays, equal in every process, placed as the sharding says."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda x: _across_processes(x, sharding), tree)


def require_values(x: Any, name: str, remedy: str) -> None:
    """Raise for an array that no process has all values of.

    Raises:
      ValueError: it is split over processes; the message ends with ``remedy``.
    """
    if not isinstance(x, Array) or isinstance(x, jax.core.Tracer):
        return
    if not (x.is_fully_addressable or x.is_fully_replicated):
        raise ValueError(
            f"{name} must have all values in each process, found an array of shape {x.shape} that "
            f"is split over processes; {remedy}"
        )


def is_key(x: Any) -> bool:
    """Whether these are jax's typed random keys, which numpy cannot hold."""
    return isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def _across_processes(x: Array, sharding: NamedSharding) -> Array:
    if isinstance(x, Array) and not x.is_fully_addressable:
        return jax.device_put(x, sharding)
    # By way of the host: CPU devices of several processes cannot send arrays to each other.
    if is_key(x):
        return jax.random.wrap_key_data(
            _across_processes(jax.random.key_data(x), sharding), impl=jax.random.key_impl(x)
        )
    return jax.device_put(np.asarray(x), sharding)
