"""Arrays in memory: no device of a mesh holds more than its part, and batches are the same rows."""

from functools import partial

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxalign.training._samples import split_rows, take_common, take_own

KINDS = (np.float32, bool)


@pytest.fixture(
    params=[{"data": 4}, {"data": 2, "model": 2}, {"replica": 2, "data": 2}],
    ids=str,
)
def mesh(request):
    axes = request.param
    return jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=(AxisType.Auto,) * len(axes))


def test_rows_lie_apart_and_batches_are_whole(rng, mesh):
    """Of every dtype, and of rows that the devices do not divide."""
    whole = [(50 * rng.standard_normal((90, 3))).astype(kind) for kind in KINDS]
    split = P(mesh.axis_names)
    axes = tuple(name for name in mesh.axis_names if name != "model")
    others = mesh.axis_names[len(axes) :]
    parts = split_rows(whole, NamedSharding(mesh, split))
    assert {shard.data.shape for x in parts for shard in x.addressable_shards} == {(23, 3)}
    rows = rng.permutation(90)[:16].astype(np.int32)

    def taken(parts, rows, own):
        return take_own(parts, own, axes=axes, others=others), take_common(
            parts, rows, axes=mesh.axis_names
        )

    each = partial(jax.shard_map, mesh=mesh, check_vma=False)
    program = each(taken, in_specs=(split, P(), P(axes)), out_specs=(P(axes), P()))
    for batches in jax.jit(program)(parts, rows, rows):
        for x, batch in zip(whole, batches, strict=True):
            assert batch.dtype == x.dtype
            np.testing.assert_array_equal(batch, x[rows])
