"""What loops carry of Moments is the same Moments after them."""

from dataclasses import replace

import jax
import numpy as np
import pytest

import jaxalign as ja
from jaxalign._spectrum import carried as module
from jaxalign._spectrum.carried import carried, restored


@pytest.fixture
def moments() -> ja.Moments:
    rng = np.random.default_rng(0)
    return ja.moments(rng.standard_normal((9, 3)).astype(np.float32), np.ones((9, 1), np.float32))


@pytest.mark.parametrize("x64", [False, True])
def test_bits_are_the_same(moments: ja.Moments, x64: bool):
    odd = np.asarray(moments.products).copy()
    odd[0, 0], odd[0, 1], odd[0, 2] = np.nan, np.inf, 1e-300
    with jax.enable_x64(True):
        moments = replace(moments, products=jax.numpy.asarray(odd))
    with jax.enable_x64(x64):
        kept = carried(moments)
        assert all(leaf.dtype != np.float64 for leaf in jax.tree.leaves(kept))
        again = restored(jax.lax.map(lambda one: carried(restored(one)), carry_of(kept)))
    np.testing.assert_array_equal(np.asarray(again.products)[0], odd)


def carry_of(kept: ja.Moments) -> ja.Moments:
    """A batch of one."""
    return jax.tree.map(lambda leaf: leaf[None], kept)


def test_of_two_float32_on_a_tpu(moments: ja.Moments):
    with jax.enable_x64(True):
        words = module._bits_of_parts(moments.products)
        numbers = module._sum_of_parts(words)
    assert words.dtype == np.uint32
    np.testing.assert_allclose(numbers, moments.products, rtol=2.0**-47)
