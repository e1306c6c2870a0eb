"""tap of models that are hard to read: axes of equal length, types told apart, other results."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.standard_normal((6, 4)), jnp.float32)


class Called(nnx.Module):
    """A layer that a function calls."""

    def __init__(self, call):
        self.layer = nnx.Linear(4, 4, rngs=nnx.Rngs(0))
        self.call = call

    def __call__(self, x):
        return self.call(self.layer, x)


def of_six_samples(layer, x):
    return jax.vmap(layer)(x.reshape(6, 4))


def scan_of_six_samples(layer, x):
    return jax.lax.map(lambda row: layer(row), x.reshape(6, 4))


def test_a_model_of_one_number_of_samples(x):
    model = Called(of_six_samples)
    _, activations = ja.tap(model)(nnx.state(model), x)
    np.testing.assert_allclose(activations["layer"], model(x), rtol=1e-5)
    model = Called(scan_of_six_samples)
    with pytest.raises(
        ValueError, match=r"layer 'layer' is inside scan, .* \[6\] .* 6 samples.*tell them apart"
    ):
        ja.tap(model)(nnx.state(model), x)


def test_samples_that_are_not_the_first_axis_of_a_scanned_value(x):
    """A model that has time first, with as many layers as samples."""
    layers = nnx.vmap(lambda rngs: nnx.Linear(4, 4, rngs=rngs))(nnx.Rngs(0).split(6))

    class TimeFirst(nnx.Module):
        def __init__(self):
            self.layers = layers

        def __call__(self, x):
            first = jnp.stack([x, 2 * x])
            step = nnx.scan(lambda x, f: f(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
            return step(first, self.layers)

    model = TimeFirst()
    output, activations = ja.tap(model)(nnx.state(model), x)
    assert [a.shape for a in activations.values()] == [(2, 6, 4)] * 6
    np.testing.assert_array_equal(activations["layers[5]"], output)


def by_type(layer, x):
    return layer(x) if type(layer) is nnx.Linear else x


def by_type_of_one(layer, x):
    return layer(x) * (2 if type(layer) is nnx.Linear else 1) + layer(x)


@pytest.mark.parametrize("call", [by_type, by_type_of_one])
def test_a_model_that_tells_subclasses_apart_is_refused(call, x):
    model = Called(call)
    with pytest.raises(ValueError, match=r"use isinstance\(layer, kind\)"):
        ja.tap(model)(nnx.state(model), x)


def test_a_model_that_branches_on_values_is_refused(x):
    model = Called(lambda layer, x: layer(x) if x.sum() > 0 else x)
    with pytest.raises(TypeError, match=r"one that jax.jit takes.*jax.lax.cond"):
        ja.tap(model)(nnx.state(model), x)


def test_results_that_are_no_arrays_are_returned_as_they_are(x):
    model = Called(lambda layer, x: {"array": layer(x), "text": "a", "number": 3, "none": None})
    output, _ = ja.tap(model)(nnx.state(model), x)
    np.testing.assert_array_equal(output.pop("array"), model.layer(x))
    assert output == {"text": "a", "number": 3, "none": None}
