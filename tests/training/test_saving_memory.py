"""What saves memory leaves the log as it is: halves, accumulation, remat, donated state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxalign as ja

AREA = {"area": ja.alignment_area}


class Net(nnx.Module):
    """An MLP of two hidden layers, which may be computed again in the backward pass."""

    def __init__(self, remat: bool = False, **dtypes):
        rngs = nnx.Rngs(0)
        self.hidden_1 = nnx.Linear(6, 16, rngs=rngs, **dtypes)
        self.hidden_2 = nnx.Linear(16, 12, rngs=rngs, **dtypes)
        self.out = nnx.Linear(12, 1, rngs=rngs, **dtypes)
        self.remat = remat

    def hidden(self, x):
        return nnx.relu(self.hidden_2(nnx.relu(self.hidden_1(x))))

    def __call__(self, x):
        hidden = nnx.remat(Net.hidden) if self.remat else Net.hidden
        return self.out(hidden(self, x))


def monitors(task, model, batch=16):
    """Every kind at once."""
    settings = {"measures": AREA}
    fixed = {
        "now": {"method": "svd"},
        "deferred": {"defer": True},
        "quadrature": {"method": "quadrature", "order": 6},
    }
    return {name: task.monitor(model, **settings, **how) for name, how in fixed.items()} | {
        "batch": ja.batch_monitor(
            ja.tap(model, "hidden_*"),
            lambda y: ja.encode_targets(y, classes=(0, 1)),
            batch,
            **settings,
            method="quadrature",
            order=6,
        )
    }


def trained(task, model):
    return task.fit(model, monitor=monitors(task, model), steps=6, chunk=4)


@pytest.fixture(scope="module")
def plain(task):
    return trained(task, Net())


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [jnp.float32, jnp.bfloat16])
def test_halves_are_logged_as_wholes_but_for_their_rounding(task, plain, parameters):
    model = Net(dtype=jnp.bfloat16)
    nnx.update(model, jax.tree.map(lambda x: x.astype(parameters), nnx.state(model)))
    state, history = trained(task, model)
    assert history.loss.dtype == np.float32
    assert state.model["out"]["kernel"][...].dtype == parameters
    np.testing.assert_allclose(history.loss, plain[1].loss, rtol=0.02)
    for name, layer in history.layers.items():
        assert layer["area"].dtype == np.float32
        np.testing.assert_allclose(layer["area"], plain[1].layers[name]["area"], rtol=0.05)


@pytest.mark.slow
def test_layers_computed_again_in_the_backward_pass_log_the_same(task, plain):
    found = trained(task, Net(remat=True))
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["deferred", pytest.param("quadrature", marks=pytest.mark.slow)])
def test_two_halves_of_a_batch_are_one_step(task, kind):
    """Rows at even steps are those of batches twice as large; between, the parameters stand."""
    model = Net()
    settings = {"monitor": {kind: monitors(task, model)[kind]}, "seed": 3, "chunk": 4}
    halves = optax.MultiSteps(optax.sgd(0.3), 2)
    _, found = task.fit(model, halves, batch_size=8, steps=7, **settings)
    _, expected = task.fit(model, optax.sgd(0.3), batch_size=16, steps=3, **settings)
    for name, layer in found.layers.items():
        np.testing.assert_array_equal(layer["area"][1::2], layer["area"][::2])
        np.testing.assert_allclose(layer["area"][::2], expected.layers[name]["area"], rtol=1e-4)
    pairs = found.loss.reshape(-1, 2).mean(axis=1)
    np.testing.assert_allclose(pairs, expected.loss, rtol=1e-5)


@pytest.mark.slow
def test_users_keep_the_arrays_that_a_run_begins_with(task):
    """The program reuses the memory of its state, not that of the model, nor of an optimizer that
    keeps the parameters themselves.
    """
    model = task.model()
    optimizer = optax.contrib.schedule_free(optax.sgd(0.1), 0.1)
    settings = {"monitor": None, "steps": 6, "chunk": 3}
    state, first = task.fit(model, optimizer, **settings)
    assert not any(x.is_deleted() for x in jax.tree.leaves((nnx.state(model), state)))
    again, second = task.fit(model, optimizer, **settings)
    for x, y in zip(jax.tree.leaves((state, first)), jax.tree.leaves((again, second)), strict=True):
        np.testing.assert_array_equal(x, y)
    nnx.update(model, state.model)
    assert task.fit(model, optimizer, **settings)[1].loss[0] != first.loss[0]
