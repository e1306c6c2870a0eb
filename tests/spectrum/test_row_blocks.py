"""Loops over blocks of rows."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign._spectrum.row_blocks import fold, mapped

ROWS = (np.arange(20.0, dtype=np.float32).reshape(10, 2), np.arange(10, dtype=np.int32))


@pytest.mark.parametrize("block", [4, 5, 10, 11])
def test_each_row_counts_once(block):
    def add(total, rows, is_new):
        return total + jnp.sum(jnp.where(is_new[:, None], rows[0], 0) * rows[1][:, None], axis=0)

    total = fold(add, jnp.zeros(2), ROWS, block)
    np.testing.assert_array_equal(total, ROWS[1].astype(np.float32) @ ROWS[0])


@pytest.mark.parametrize("block", [4, 5, 10, 11])
def test_rows_come_back_in_their_places(block):
    result = mapped(lambda rows: (rows[0] * rows[1][:, None], rows[1] + 1), ROWS, block)
    np.testing.assert_array_equal(result[0], ROWS[0] * ROWS[1][:, None])
    np.testing.assert_array_equal(result[1], ROWS[1] + 1)
