"""Representations over many devices and hosts: rows split with one sum on the wire, or batches
split with nothing on it.
"""

from collections.abc import Callable
from functools import partial
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jax.typing import ArrayLike

from jaxalign._core.checks import (
    as_matrices,
    as_real_floats,
    require_finite,
    require_no_labels,
)
from jaxalign._core.kinds import require_flag
from jaxalign._core.known import is_concrete
from jaxalign._core.mesh import Axes, Split, split_over, with_automatic_axes
from jaxalign._spectrum.exact_means import Rows
from jaxalign._spectrum.finish import solved
from jaxalign._spectrum.moments import basis, moments
from jaxalign._spectrum.routes.split import solve_rows
from jaxalign._spectrum.routes.table import ON_TPU, Method, require_method, route_for, significant
from jaxalign._spectrum.solve import label_spectrum, leading
from jaxalign._spectrum.spectrum import spectrum
from jaxalign._spectrum.triangle import triangle
from jaxalign._spectrum.types import Spectrum


def sharded(
    mesh: Mesh,
    *,
    rows: Axes | None = None,
    batch: Axes | None = None,
    method: Method = "auto",
    centered: bool = False,
) -> Callable[[ArrayLike, ArrayLike], Spectrum]:
    """``spectrum`` over a mesh: a function of (features, targets), jitted, of the same result on
    every device.

    With ``rows``, every device takes the moments of its rows, and a sum of (d + 2)(d + 1 + k)
    float64 is all that is exchanged (a second one for "refined"; one gathering of the triangular
    factors for "triangular"). With "split" maxima and sums of integers are exchanged: the result
    is bit for bit the same on any number of devices. With ``batch``, every device solves its share
    of the batch and nothing is exchanged. Arrays may have any placement, also global ones over
    several hosts; the number of rows or batches need not be a multiple of the devices. Works inside
    jit.

    Args:
      mesh: any jax mesh.
      rows: name of the mesh axis that rows of (n, d) features and (n, k) targets are split over, or
        a tuple of several; or
      batch: of the one that (b, n, d) features and (b, n, k) targets are split over.
      method: as in ``spectrum``; with rows not "svd".
      centered: as in ``spectrum``.

    Returns:
      (features, targets) -> Spectrum, replicated; with batch, of leading axis b, split like the
      features.

    Raises:
      ValueError: not exactly one of rows and batch, or none of the mesh's axes; an unknown method;
        "svd" with rows; on the call as ``spectrum``.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import jaxalign as ja
      >>> solve = ja.sharded(jax.make_mesh((jax.device_count(),), ("data",)), rows="data")
      >>> solve(jnp.eye(4), jnp.ones((4, 1))).singular_values.tolist()
      [1.0, 1.0, 1.0, 1.0]

    Source: ours.
    """
    axis = rows if batch is None else batch
    if axis is None or (rows is not None and batch is not None):
        raise ValueError(
            f"name one mesh axis, as rows or as batch, found rows={rows!r} and batch={batch!r}"
        )
    require_method(method)
    require_flag(centered, "centered")
    split = split_over(mesh, axis, "rows" if batch is None else "batch")
    if rows is not None and method == "svd":
        raise ValueError(
            "method 'svd' does not take rows that are split over devices; "
            "pass 'moments', 'refined', 'triangular' or 'split'"
        )
    of_placed = _of_placed_rows if batch is None else _of_placed_batch
    solve = partial(of_placed, split, method, centered)
    return partial(_of_any_placement, split.mesh, solve, batch is not None)


def _of_any_placement(
    mesh: Mesh,
    solve: Callable[[Array | np.ndarray, Array | np.ndarray], Spectrum],
    is_batch: bool,
    features: ArrayLike,
    targets: ArrayLike,
) -> Spectrum:
    """``solve`` on the mesh, of arrays that may be on another one."""
    if _is_elsewhere(features, mesh) or _is_elsewhere(targets, mesh):
        features = with_automatic_axes(features)
        targets = with_automatic_axes(targets)
    return solved(solve, features, targets, by_rows=is_batch)


def _is_elsewhere(x: ArrayLike, mesh: Mesh) -> bool:
    """Whether a user placed it on another mesh, whose explicit axes would take the result there."""
    if not isinstance(x, jax.Array) or not is_concrete(x):
        return False
    own = getattr(x.sharding, "mesh", mesh)
    return own.shape != mesh.shape or x.sharding.device_set != {*mesh.devices.flat}


# The settings are static arguments, not a closure: a second `sharded` of the same ones finds the
# program that the first one compiled.
@partial(jax.jit, static_argnums=(0, 1, 2))
def _over_rows(
    split: Split,
    method: Method,
    centered: bool,
    features: Array,
    targets: Array,
    weights: Array | None,
) -> Spectrum:
    function = partial(_of_rows, split.axes, method, centered)
    # The result is replicated because psum and all_gather are applied to everything it depends on;
    # jax's checker does not know this of all_gather.
    over = jax.shard_map(
        function, mesh=split.mesh, in_specs=P(split.axes), out_specs=P(), check_vma=False
    )
    return over(features, targets, weights)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _over_batch(
    split: Split, method: Method, centered: bool, features: Array, targets: Array
) -> Spectrum:
    of_batch = jax.vmap(partial(spectrum, method=method, centered=centered))
    over = jax.shard_map(
        of_batch, mesh=split.mesh, in_specs=P(split.axes), out_specs=P(split.axes), check_vma=False
    )
    return over(features, targets)


def _of_rows(
    axes: tuple[str, ...],
    method: Method,
    centered: bool,
    features: Array,
    targets: Array,
    weights: Array | None,
) -> Spectrum:
    route = route_for(method, features)
    if route == "split":
        return _of_split_rows(axes, centered, features, targets, weights)
    if route == "triangular":
        return spectrum(triangle(features, targets, weights).over(axes), centered=centered)
    first = jax.lax.psum(moments(features, targets, weights), axes)
    if route == "moments":
        return spectrum(first, centered=centered)
    coordinates = basis(first, centered=centered)
    second = jax.lax.psum(moments(features, targets, weights, basis=coordinates), axes)
    return spectrum(second, basis=coordinates)


def _of_split_rows(
    axes: tuple[str, ...], centered: bool, features: Array, targets: Array, present: Array | None
) -> Spectrum:
    sigma, coordinates, total = solve_rows(features, targets, Rows(axes, present), centered)
    counted = jnp.ones(len(features), jnp.float32) if present is None else present
    num_samples = jax.lax.psum(jnp.sum(counted.astype(jnp.int32), dtype=jnp.int32), axes)
    size = jnp.maximum(num_samples, features.shape[1])
    return label_spectrum(
        sigma,
        coordinates,
        significant(sigma, features.dtype, size, "split"),
        total,
        num_samples=num_samples,
        route="split",
        dtype=features.dtype,
    )


def _of_placed_rows(
    split: Split,
    method: Method,
    centered: bool,
    features: Array | np.ndarray,
    targets: Array | np.ndarray,
) -> Spectrum:
    phi, y = as_matrices(features, targets)
    method = _method_of(split.mesh, method, phi)
    if centered and method != "split":
        # Sums about 0 lose the spread of rows far from it; about a row of their own they keep it.
        phi = phi - phi[:1]
        y = y - y[:1]
    n, d = phi.shape
    weights = None
    if _missing_rows(n, split) > 0:
        # The rows of zeros that are added get the weight 0.
        weights = jnp.ones(n, phi.dtype)
    with jax.sharding.use_abstract_mesh(split.mesh.abstract_mesh):
        placed = jax.tree.map(partial(_placed, split), (phi, y, weights))
        padded = _over_rows(split, method, centered, *placed)
        return leading(padded, min(n, d))


def _of_placed_batch(
    split: Split,
    method: Method,
    centered: bool,
    features: Array | np.ndarray,
    targets: Array | np.ndarray,
) -> Spectrum:
    require_no_labels(targets)
    phi = as_real_floats(features, "features")
    y = as_real_floats(targets, "targets")
    if phi.ndim != 3 or y.ndim != 3 or len(phi) != len(y):
        raise ValueError(
            f"features must be (b, n, d) and targets (b, n, k), found {phi.shape} and {y.shape}"
        )
    if 0 in (*phi.shape, *y.shape):
        raise ValueError(
            f"features and targets must not be empty, found shapes {phi.shape} and {y.shape}"
        )
    require_finite(phi, "features")
    require_finite(y, "targets")
    with jax.sharding.use_abstract_mesh(split.mesh.abstract_mesh):
        padded = _over_batch(split, method, centered, _placed(split, phi), _placed(split, y))
        if _missing_rows(len(phi), split) == 0:
            return padded
        return jax.tree.map(lambda x: x[: len(phi)], padded)


def _method_of(mesh: Mesh, method: Method, features: Array) -> Method:
    """The method for the mesh's platform: on a TPU the sums over devices are of integers too."""
    route = route_for(method, features)
    if mesh.devices.flat[0].platform == "tpu":
        return cast(Method, ON_TPU.get(route, route))
    return method


def _placed(split: Split, x: Array) -> Array:
    """``x`` on the mesh, padded with rows of zeros to a multiple of the number of devices."""
    missing = _missing_rows(len(x), split)
    if missing > 0:
        x = jnp.pad(x, ((0, missing), *((0, 0),) * (x.ndim - 1)))
    return jax.device_put(x, split.sharding)


def _missing_rows(count: int, split: Split) -> int:
    return -count % split.devices
