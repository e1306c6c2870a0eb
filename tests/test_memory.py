"""What programs keep in memory, as the compiler plans it: nothing is run."""

from functools import partial

import jax
import numpy as np
import pytest

import jaxalign as ja
from jaxalign import geometry, similarity

CLASSES = (False, True)

# Of pairs (x, y) of representations. Copies in float64 are twice as large as float32 arrays.
MOST_COPIES = {
    "cloud": ((3000, 40), lambda x, y: geometry.two_nn(x), 8),
    "cloud, wide": ((300, 5000), lambda x, y: geometry.two_nn(x), 8),
    "cloud, gradient": ((3000, 40), jax.grad(lambda x, y: geometry.two_nn(x)), 20),
    "kernels, gradient": ((300, 5000), jax.grad(similarity.rbf_cka), 20),
    "neighbours, wide": ((300, 5000), partial(similarity.cknna, k=10), 8),
    "classes, wide": ((300, 5000), lambda x, y: geometry.lidar(x, y[:, 0] > 0, classes=CLASSES), 8),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MOST_COPIES)
def test_memory_grows_with_the_rows_and_columns_alone(name):
    (n, d), function, copies = MOST_COPIES[name]
    shapes = [jax.ShapeDtypeStruct((n, d), np.float32) for _ in range(2)]
    program = jax.jit(function).lower(*shapes).compile()
    blocks = 2**28  # of a fixed size, whatever the shape
    assert program.memory_analysis().temp_size_in_bytes < copies * 2 * n * d * 4 + blocks


SUMS_OF_ROWS = {
    "spectrum": partial(ja.spectrum, centered=True),
    "refined": partial(ja.spectrum, method="refined"),
    "moments": lambda x, y: ja.spectrum(ja.moments(x, y), centered=True),
    "pair moments": similarity.pair_moments,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SUMS_OF_ROWS)
def test_a_cpu_that_sums_over_rows_keeps_no_copy_of_them(name):
    shapes = [jax.ShapeDtypeStruct((2**17, d), np.float32) for d in (64, 1)]
    with jax.default_device(jax.devices("cpu")[0]):
        program = jax.jit(SUMS_OF_ROWS[name]).lower(*shapes).compile()
    assert program.memory_analysis().temp_size_in_bytes < 2**17 * 64 * 4 / 4


@pytest.mark.slow
def test_ranks_of_all_pairs_take_what_the_limit_says():
    n = 2000
    shapes = [jax.ShapeDtypeStruct((n, width), np.float32) for width in (8, 4)]
    with jax.default_device(jax.devices("cpu")[0]):
        program = jax.jit(partial(similarity.rsa, compare="spearman")).lower(*shapes).compile()
    assert program.memory_analysis().temp_size_in_bytes < 40 * n**2


@pytest.mark.slow
def test_draws_of_permuted_targets_need_no_more_memory_than_a_part_of_them():
    """999 draws of them are 4 GB in float64."""

    def curves(x, y, key):
        return ja.permutation_curves(x, y, [1.0], key=key, draws=999)

    shapes = [jax.ShapeDtypeStruct((2**16, width), np.float32) for width in (16, 8)]
    program = jax.jit(curves).lower(*shapes, jax.random.key(0)).compile()
    assert program.memory_analysis().temp_size_in_bytes < 2**30
