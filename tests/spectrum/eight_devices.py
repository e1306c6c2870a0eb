"""Rows over 1, 2, 4 and 8 devices, started by tests/spectrum/test_split.py: the compiler has its
usual settings here, since it is what could round differently.
"""

import math

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxalign._spectrum.exact_means import Rows
from jaxalign._spectrum.routes.split import sums_of_rows

N = 1003  # no multiple of the devices: they pad it with rows that are not present


def data() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((N, 3)) * np.geomspace(1, 1e-3, 3) + 7
    arrays = features.astype(np.float32), rng.standard_normal((N, 1)).astype(np.float32)
    padded = [np.pad(x, ((0, -N % 8), (0, 0))) for x in arrays]
    return *padded, (np.arange(len(padded[0])) < N).astype(np.float32)


def main() -> None:
    jax.config.update("jax_num_cpu_devices", 8)
    axes = ("replica", "data")

    def both(features: jax.Array, targets: jax.Array, present: jax.Array) -> list:
        rows = Rows(axes, present)
        return [sums_of_rows(features, targets, rows, centered) for centered in (False, True)]

    arrays = data()
    results = []
    for shape in ((1, 1), (1, 2), (4, 1), (2, 4)):
        mesh = jax.make_mesh(shape, axes, devices=jax.devices()[: math.prod(shape)])
        over = jax.shard_map(both, mesh=mesh, in_specs=P(axes), out_specs=P(), check_vma=False)
        placed = jax.device_put(arrays, NamedSharding(mesh, P(axes)))
        results.append(jax.tree.leaves(jax.jit(over)(*placed)))
    for other in results[1:]:
        for own, others in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(own, others)
    assert all(np.isfinite(leaf).all() for leaf in results[0])


if __name__ == "__main__":
    main()
