"""Samples in memory, split over a mesh, and the batches that are taken of them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import NamedSharding

Take = Callable[[Any, Array], Any]
"""(samples, row numbers) → a batch."""


def take(samples: Any, rows: Array) -> Any:
    """A batch of samples that lie on one device."""
    return jax.tree.map(lambda x: x[rows], samples)


def split_rows(samples: Any, sharding: NamedSharding) -> Any:
    """Samples with their rows split over all devices, rows of zeros added where these do not divide
    them: no device holds more than its part.
    """
    return jax.tree.map(partial(_split, sharding=sharding), samples)


def _split(x: Array | np.ndarray, sharding: NamedSharding) -> Array:
    devices = sharding.mesh.size
    size = -(-len(x) // devices)

    def part(index: Any) -> np.ndarray:
        rows = np.asarray(x[index[0]])
        return np.pad(rows, [(0, size - len(rows))] + [(0, 0)] * (x.ndim - 1))

    return jax.make_array_from_callback((size * devices, *x.shape[1:]), sharding, part)


def take_own(
    samples: Any, rows: Array, *, axes: tuple[str, ...], others: tuple[str, ...] = ()
) -> Any:
    """On each device of a ``shard_map``: the rows that it asks for, of rows that are split.

    Every device looks up what the devices along ``axes`` ask for, each row where it lies, and the
    sum over the devices brings it to where it was asked for.

    Args:
      samples: this device's part.
      rows: what the device asks for; the same along the ``others``.
      axes: of the mesh.
      others: its other axes.
    """
    wanted = jax.lax.all_gather(rows, axes)

    def taken(x: Array) -> Array:
        part = _own_rows(x, wanted, (*axes, *others))
        part = jax.lax.psum_scatter(part, axes, scatter_dimension=0, tiled=False)
        return jax.lax.psum(part, others).astype(x.dtype)

    return jax.tree.map(taken, samples)


def take_common(samples: Any, rows: Array, *, axes: tuple[str, ...]) -> Any:
    """On each device of a ``shard_map``: rows that all of them ask for."""

    def taken(x: Array) -> Array:
        return jax.lax.psum(_own_rows(x, rows, axes), axes).astype(x.dtype)

    return jax.tree.map(taken, samples)


def _own_rows(x: Array, rows: Array, axes: tuple[str, ...]) -> Array:
    """The rows that lie on this device, and zeros for the others."""
    place = rows - jax.lax.axis_index(axes) * len(x)
    is_here = (place >= 0) & (place < len(x))
    found = x[jnp.where(is_here, place, 0)]
    if found.dtype == bool:  # which has no sum
        found = found.astype(jnp.uint8)
    mask = jnp.expand_dims(is_here, range(rows.ndim, found.ndim))
    return jnp.where(mask, found, jnp.zeros((), found.dtype))
