"""How the arrays of a model and of its optimizer lie on a mesh: as the user split them, over
automatic axes.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import jax
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxalign._core.mesh import automatic_sharding, listed_devices

logger = logging.getLogger(__name__)

Path = tuple[Any, ...]


def mesh_of_arrays(variables: nnx.State) -> Any:
    """The mesh that a model's arrays were split over; None if each lies on one device."""
    for name, leaf in _named(variables):
        sharding = sharding_over_devices(name, leaf)
        if sharding is not None:
            return sharding.mesh
    return None


def sharding_over_devices(name: str, leaf: Any) -> NamedSharding | None:
    """The sharding of an array that lies on several devices, or None.

    Raises:
      ValueError: one that is not by the names of a mesh's axes.
    """
    if not isinstance(leaf, jax.Array) or len(leaf.sharding.device_set) == 1:
        return None
    if not isinstance(leaf.sharding, NamedSharding):
        raise ValueError(
            f"array {name!r} of the model must be placed by a NamedSharding, found a "
            f"{type(leaf.sharding).__name__}; place it by jax.device_put(array, "
            "NamedSharding(mesh, PartitionSpec(...)))"
        )
    return leaf.sharding


def shardings_of_model(variables: nnx.State, mesh: Mesh) -> nnx.State:
    """The sharding of each array: the one it came with; for one on a single device that of its
    annotation, as by ``nnx.with_partitioning``; without any it is on all devices.

    Raises:
      ValueError: an array on other devices than the mesh; an annotation that the mesh does not
        have, or that does not divide its array.
    """

    def of_variable(path: Path, variable: Any) -> Any:
        spec = P()
        if isinstance(variable, nnx.Variable):
            spec = nnx.get_partition_spec(variable).get_raw_value() or P()
        name = _name(path)
        return jax.tree.map(lambda leaf: _sharding(name, leaf, spec, mesh), variable)

    return jax.tree_util.tree_map_with_path(
        of_variable, variables, is_leaf=lambda x: isinstance(x, nnx.Variable)
    )


def _sharding(name: str, leaf: Any, annotation: P, mesh: Mesh) -> NamedSharding:
    given = sharding_over_devices(name, leaf)
    if given is not None:
        _require_devices(name, given.mesh.devices.flat, mesh, all_of_them=True)
        return automatic_sharding(given)
    if isinstance(leaf, jax.Array) and leaf.committed:
        _require_devices(name, leaf.sharding.device_set, mesh, all_of_them=False)
    missing = [axis for axis in axes_of(annotation) if axis not in mesh.axis_names]
    if missing:
        raise ValueError(
            f"array {name!r} of the model is annotated with the axis {missing[0]!r}, which the "
            f"mesh does not have: its axes are {', '.join(map(repr, mesh.axis_names))}; pass a "
            "mesh that has it, or map it to one of them by nnx.logical_axis_rules"
        )
    sharding = NamedSharding(mesh, annotation)
    try:
        sharding.shard_shape(leaf.shape)
    except ValueError as error:
        raise ValueError(
            f"array {name!r} of the model cannot be split as it is annotated: {error}"
        ) from None
    return sharding


def _require_devices(name: str, devices: Any, mesh: Mesh, *, all_of_them: bool) -> None:
    """Raise for an array on other devices than the mesh; one over several has all of them, in the
    same order.
    """
    own = list(devices)
    of_mesh = list(mesh.devices.flat)
    if own == of_mesh or (not all_of_them and {*own} <= {*of_mesh}):
        return
    raise ValueError(
        f"array {name!r} of the model lies on {listed_devices(own)}, which must be the devices of "
        f"the mesh in their order, {listed_devices(of_mesh)}; pass the mesh that it was placed on, "
        "or place it on this one by jax.device_put"
    )


def shardings_of_optimizer(
    state: Any, parameters: nnx.State, shardings: nnx.State, mesh: Mesh
) -> Any:
    """The sharding of each array of an optimizer's state: as that of the parameter it belongs to.

    An array belongs to the parameter whose path its own path holds, as that of a moment,
    "mu.layer.kernel", holds "layer.kernel". Where it has another shape, as the factored moments of
    adafactor or the memory of L-BFGS, those axes are split whose lengths are, in order, lengths of
    split axes of the parameter. What belongs to no parameter, as a count, is on all devices.

    Args:
      state: arrays or their shapes.
      parameters: the same.
      shardings: of the parameters.
      mesh: of arrays that belong to no parameter.
    """
    leaves = jax.tree_util.tree_leaves_with_path(parameters)
    owners = {
        path: (leaf.shape, sharding)
        for (path, leaf), sharding in zip(leaves, jax.tree.leaves(shardings), strict=True)
    }

    split = [math.prod(shape) for shape, sharding in owners.values() if axes_of(sharding.spec)]

    def of_leaf(path: Path, leaf: Any) -> NamedSharding:
        owner = _owner(path, owners)
        if owner is None:
            if leaf.size >= max(split, default=math.inf):
                logger.warning(
                    "the optimizer's array %s of shape %s belongs to no parameter: it is put on "
                    "every device",
                    _name(path),
                    leaf.shape,
                )
            return NamedSharding(mesh, P())
        shape, sharding = owners[owner]
        spec = _aligned(leaf.shape, shape, sharding)
        return NamedSharding(sharding.mesh, spec, memory_kind=sharding.memory_kind)

    return jax.tree_util.tree_map_with_path(of_leaf, state)


def _owner(path: Path, owners: Mapping[Path, Any]) -> Path | None:
    """The longest path of a parameter within a path."""
    length = len(path)
    parts = [path[i:j] for i, j in combinations(range(length + 1), 2)]
    found = [part for part in parts if part in owners]
    return max(found, key=len, default=None)


def _aligned(shape: Sequence[int], parameter: Sequence[int], sharding: NamedSharding) -> P:
    """The axes of ``shape`` split as those axes of a parameter that have their lengths.

    As many axes as can be are matched, in order; of several ways, the one that splits into most
    parts.
    """
    split = [*sharding.spec, *(None,) * (len(parameter) - len(sharding.spec))]

    def parts(match: tuple[tuple[int, ...], tuple[int, ...]]) -> tuple[int, tuple[int, ...]]:
        spec = P(*(split[axis] for axis in match[1]))
        return math.prod(sharding.mesh.shape[name] for name in axes_of(spec)), match[0]

    for number in range(min(len(shape), len(parameter)), 0, -1):
        matches = [
            (own, of_parameter)
            for own in combinations(range(len(shape)), number)
            for of_parameter in combinations(range(len(parameter)), number)
            if [shape[i] for i in own] == [parameter[i] for i in of_parameter]
        ]
        if matches:
            best = max(matches, key=parts)
            axes = dict(zip(*best, strict=True))
            return P(*(split[axes[i]] if i in axes else None for i in range(len(shape))))
    return P()


def axes_of(spec: P) -> list[str]:
    """The names of a mesh's axes in a specification."""
    names: list[str] = []
    for entry in spec:
        if entry is not None:
            names += entry if isinstance(entry, tuple) else [entry]
    return names


def _named(variables: nnx.State) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        yield _name(path), leaf


def _name(path: Path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")
