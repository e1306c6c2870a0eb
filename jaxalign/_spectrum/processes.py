"""The sum of what several processes, each on its own host, have read."""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxalign._core.kinds import require_kind
from jaxalign._spectrum.moments import Moments
from jaxalign._spectrum.triangle import Triangle

Sum = TypeVar("Sum", Moments, Triangle)


def sum_over_processes(local: Sum) -> Sum:
    """The sum of all processes' moments or triangles, in every process.

    For streams: each host reads its own files into ``accumulate``, in any number of batches, and at
    the end one (d + 2, d + 1 + k) matrix per process is exchanged. Every process has to call it. In
    one process it returns its argument.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> moments = ja.sum_over_processes(ja.moments(jnp.eye(4), jnp.ones((4, 1))))
      >>> ja.spectrum(moments).singular_values.tolist()
      [1.0, 1.0, 1.0, 1.0]

    Source: ours.
    """
    require_kind(local, Moments | Triangle, "local", "pass accumulate(batches)")
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
