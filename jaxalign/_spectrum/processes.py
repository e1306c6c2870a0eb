"""The sum of what several processes, each on its own host, have read."""

from dataclasses import is_dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxalign._core.kinds import found


@runtime_checkable
class Mergeable(Protocol):
    """Sums that add up, as a pytree: ``Moments``, ``Triangle``, ``PairMoments``."""

    def sum(self) -> Any:
        """A batch of them, with a leading axis, merged into one."""
        ...


Sum = TypeVar("Sum", bound=Mergeable)


def sum_over_processes(local: Sum) -> Sum:
    """The sum of all processes' moments, triangles or pair moments, in every process.

    For streams: each host adds up its own batches, in any number, and at the end one set of sums
    per process is exchanged. Every process has to call it. In one process it returns its argument.

    Args:
      local: of this process: ``accumulate(batches)``, or PairMoments.

    Returns:
      The sum over all processes, of the same kind.

    Raises:
      TypeError: none of these.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> moments = ja.sum_over_processes(ja.moments(jnp.eye(4), jnp.ones((4, 1))))
      >>> ja.spectrum(moments).singular_values.tolist()
      [1.0, 1.0, 1.0, 1.0]

    Source: ours.
    """
    # An array has a sum as well, over all its axes.
    if isinstance(local, type) or not (is_dataclass(local) and hasattr(local, "sum")):
        raise TypeError(
            "local must be Moments, a Triangle or PairMoments, "
            f"found {found(local)}; pass accumulate(batches)"
        )
    if jax.process_count() == 1:
        return local
    # A mesh of the first device of each process.
    first_of = {device.process_index: device for device in reversed(jax.devices())}
    mesh = Mesh(np.array([first_of[i] for i in range(jax.process_count())]), ("processes",))
    everywhere = NamedSharding(mesh, P())

    def gather(x: Array) -> Array:
        split = jax.make_array_from_process_local_data(
            NamedSharding(mesh, P("processes")), np.asarray(x)[None]
        )
        replicate = jax.jit(lambda whole: whole, out_shardings=everywhere)
        return jnp.asarray(replicate(split).addressable_data(0))

    with jax.enable_x64(True):
        stacked = jax.tree.map(gather, local)
    return stacked.sum()
