"""What programs keep in memory, as the compiler plans it: nothing is run."""

from functools import partial

import jax
import numpy as np
import pytest

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
