"""Loops that are not ours: a monitor inside their jitted steps, as README shows it, and observe
where
the step stays as it is.
"""

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
    np.testing.assert_allclose(record["area"], expected, rtol=1e-5)


def test_an_nnx_step(data):
    x, y = data
    model = MLP(6, (8,), 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    tap = ja.tap(model, "hidden_*")
    monitor = ja.monitor(tap, x, y)

    @nnx.jit
    def step(model, optimizer, x, y):
        loss, gradient = nnx.value_and_grad(lambda m: ((m(x) - y) ** 2).mean())(model)
        optimizer.update(model, gradient)
        return loss, monitor(nnx.state(model))

    for _ in range(3):
        _, records = step(model, optimizer, x, y)
        assert_is_the_measure_of(records["hidden_1"], tap(nnx.state(model), x)[1]["hidden_1"], y)


def test_a_linen_step(data):
    x, y = data
    model = Net()
    state = TrainState.create(
        apply_fn=model.apply, params=model.init(jax.random.key(0), x)["params"], tx=optax.sgd(0.1)
    )
    tap = ja.tap(model, "head", at="input")
    monitor = ja.monitor(tap, x, y)

    @jax.jit
    def step(state, x, y):
        def loss_of(params):
            return ((state.apply_fn({"params": params}, x) - y) ** 2).mean()

        loss, gradient = jax.value_and_grad(loss_of)(state.params)
        return state.apply_gradients(grads=gradient), loss, monitor({"params": state.params})

    for _ in range(3):
        before = state.params
        state, _, records = step(state, x, y)
        assert_is_the_measure_of(records["head"], tap({"params": before}, x)[1]["head"], y)


@pytest.mark.slow
def test_a_linen_train_state_is_measured_without_a_change_to_its_loop(data):
    x, y = data
    model = Net()
    params = model.init(jax.random.key(0), x)["params"]
    monitor = ja.monitor(ja.tap(model, "head", at="input"), x, y)

    def measure(params):
        return monitor({"params": params})

    def loss(params):
        return ((model.apply({"params": params}, x) - y) ** 2).mean()

    def trained(optimizer):
        state = TrainState.create(apply_fn=model.apply, params=params, tx=optimizer)
        step = jax.jit(lambda state: state.apply_gradients(grads=jax.grad(loss)(state.params)))
        seen = []
        for _ in range(4):
            before = state.params
            state = step(state)
            seen.append((before, state.opt_state))
        return state, seen

    plain, _ = trained(optax.adam(1e-2))
    observed, seen = trained(optax.chain(optax.adam(1e-2), ja.observe(measure)))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), plain.params, observed.params
    )
    for before, optimizer_state in seen:
        records = optax.tree.get(optimizer_state, "records")
        assert list(records) == ["input", "head"]
        np.testing.assert_allclose(
            records["head"]["area"], measure(before)["head"]["area"], rtol=1e-5
        )


def test_an_nnx_optimizer_is_measured_too(data):
    x, y = data
    model = MLP(6, (8,), 1, rngs=nnx.Rngs(0))
    monitor = ja.monitor(ja.tap(model, "hidden_*"), x, y)
    optimizer = nnx.Optimizer(
        model, optax.chain(optax.sgd(0.1), ja.observe(monitor)), wrt=nnx.Param
    )

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(lambda m: ((m(x) - y) ** 2).mean())(model))

    expected = monitor(nnx.state(model))["hidden_1"]["area"]
    step(model, optimizer)
    records = optax.tree.get(nnx.to_pure_dict(nnx.state(optimizer)), "records")
    np.testing.assert_allclose(records["hidden_1"]["area"], expected, rtol=1e-5)


def test_in_a_scan_every_third_step(data):
    x, y = data

    def area(w):
        return ja.alignment_area(ja.spectrum(jnp.tanh(x @ w), y))[0]

    optimizer = optax.chain(ja.observe(area, every=3), optax.sgd(0.1))
    w = jnp.asarray(np.random.default_rng(1).standard_normal((6, 4)), jnp.float32)

    def step(carry, _):
        w, state = carry
        updates, state = optimizer.update(jax.grad(lambda w: jnp.tanh(x @ w).var())(w), state, w)
        return (optax.apply_updates(w, updates), state), (area(w), state[0])

    _, (areas, observed) = jax.lax.scan(step, (w, optimizer.init(w)), length=8)
    np.testing.assert_array_equal(observed.measured_at, [0, 0, 0, 3, 3, 3, 6, 6])
    np.testing.assert_allclose(observed.records, areas[observed.measured_at], rtol=1e-5)


def test_bad_input_is_explained(data):
    with pytest.raises(ValueError, match="every must be at least 1, found 0"):
        ja.observe(lambda w: w, every=0)
    optimizer = ja.observe(lambda w: w)
    state = optimizer.init(jnp.ones(2))
    with pytest.raises(ValueError, match=r"call optimizer\.update"):
        optimizer.update(jnp.ones(2), state)
