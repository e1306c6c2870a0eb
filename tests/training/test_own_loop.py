"""A probe inside jitted steps that are not ours, as README shows them: flax.nnx, and a flax.linen TrainState."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import jaxalign as ja
from jaxalign.models import MLP


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1, name="head")(nn.relu(nn.Dense(8, name="hidden")(x)))


@pytest.fixture
def data(rng):
    x = jnp.asarray(rng.standard_normal((40, 6)), jnp.float32)
    return x, jnp.sign(x[:, :1])


def assert_is_the_measure_of(record, activations, y):
    expected = ja.alignment_area(ja.spectrum(ja.prepare(activations), y))[0]
    np.testing.assert_allclose(record.area, expected, rtol=1e-5)


def test_an_nnx_step(data):
    x, y = data
    model = MLP(6, (8,), 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    tap = ja.tap(model, "hidden_*")
    watch = ja.probe(tap, x, y)

    @nnx.jit
    def step(model, optimizer, x, y):
        loss, gradient = nnx.value_and_grad(lambda m: ((m(x) - y) ** 2).mean())(model)
        optimizer.update(model, gradient)
        return loss, watch(nnx.state(model))

    for _ in range(3):
        _, records = step(model, optimizer, x, y)
        assert_is_the_measure_of(records["hidden_1"], tap(nnx.state(model), x)[1]["hidden_1"], y)


def test_a_linen_step(data):
    x, y = data
    model = Net()
    state = TrainState.create(apply_fn=model.apply, params=model.init(jax.random.key(0), x)["params"], tx=optax.sgd(0.1))
    tap = ja.tap(model, "head", at="input")
    watch = ja.probe(tap, x, y)

    @jax.jit
    def step(state, x, y):
        loss_of = lambda params: ((state.apply_fn({"params": params}, x) - y) ** 2).mean()
        loss, gradient = jax.value_and_grad(loss_of)(state.params)
        return state.apply_gradients(grads=gradient), loss, watch({"params": state.params})

    for _ in range(3):
        before = state.params
        state, _, records = step(state, x, y)
        assert_is_the_measure_of(records["head"], tap({"params": before}, x)[1]["head"], y)
