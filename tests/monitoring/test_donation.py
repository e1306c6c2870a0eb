"""Loops of users that donate their state, with models in half precision or rematerialized: every
kind of measure.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.monitoring import (
    curve,
    of_activations,
    of_features,
    of_moments,
    of_null,
    of_outputs,
    of_pair,
)

N = 24
X = np.random.default_rng(0).standard_normal((N, 6)).astype(np.float32)
Y = ja.encode_targets((X[:, 0] * X[:, 1] > 0).astype(int))
FIXED = np.random.default_rng(1).standard_normal((N, 3)).astype(np.float32)
TAU = np.array([0.5, 1.0], np.float32)
MEASURES = {
    "area": ja.alignment_area,
    "curve": curve(TAU),
    "null": of_null(ja.alignment_area),
    "weight": of_moments(lambda moments: moments.weight),
    "size": of_features(lambda features: (features**2).mean()),
    "least": of_activations(lambda activations: activations.min()),
    "output": of_outputs(lambda outputs: outputs.max()),
    "previous": of_pair(lambda x, y: x.sum() * y.sum(), reference="previous"),
    "change": of_pair(lambda x, start: ((x - start) ** 2).sum(), reference="start"),
    "fixed": of_pair(lambda x, fixed: (x.T @ fixed).sum(), reference=FIXED),
}
WAYS = {
    "auto": (MEASURES, {}),
    "defer": (MEASURES, {"defer": True}),
    "quadrature": (None, {"method": "quadrature"}),
}


class Net(nnx.Module):
    def __init__(self, kind: str):
        rngs = nnx.Rngs(0)
        dtype = jnp.float32 if kind == "remat" else jnp.bfloat16
        # Mixed precision keeps the parameters in float32.
        param_dtype = jnp.bfloat16 if kind == "bfloat16" else jnp.float32
        settings = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.first = nnx.Linear(6, 8, **settings)
        self.second = nnx.Linear(8, 8, **settings)
        self.head = nnx.Linear(8, 1, **settings)
        self.remat = kind == "remat"

    def __call__(self, x):
        def call(layer, x):
            return jnp.tanh(layer(x))

        if self.remat:
            call = nnx.remat(call)
        return self.head(call(self.second, call(self.first, x)))


def loss(graph, state):
    outputs = nnx.merge(graph, state)(X).astype(jnp.float32)
    return ((outputs - Y) ** 2).mean()


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["bfloat16", "mixed", "remat"])
def test_a_loop_that_donates_everything_measures_what_one_that_keeps_it_does(kind, way):
    """By a monitor in the step, and by observe in the optimizer."""
    model = Net(kind)
    graph, state = nnx.split(model)
    measures, settings = WAYS[way]
    monitor = ja.monitor(ja.tap(model, ["first", "second"]), X, Y, measures=measures, **settings)
    monitor = monitor.starting_from(state)
    optimizer = optax.chain(optax.adam(1e-2), ja.observe(monitor))

    def step(state, optimizer_state):
        gradient = jax.grad(lambda state: loss(graph, state))(state)
        updates, after = optimizer.update(gradient, optimizer_state, state)
        return optax.apply_updates(state, updates), after, monitor(state)

    step = jax.jit(step, donate_argnums=(0, 1))
    now = state, optimizer.init(state)
    for _ in range(2):
        kept = jax.tree.map(jnp.copy, now)
        *now, logged = step(*now)
        *again, expected = step(*kept)
        records = optax.tree.get(now[1], "records")
        assert jax.tree.structure(logged) == jax.tree.structure(records)
        for found in ((now, records), (now, logged)):
            pairs = zip(jax.tree.leaves(found), jax.tree.leaves((again, expected)), strict=True)
            for a, b in pairs:
                np.testing.assert_allclose(*(np.asarray(x, float) for x in (a, b)), rtol=1e-5)
                assert np.isfinite(np.asarray(a, float)).all()
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    # The monitor lost nothing by it.
    assert jax.tree.structure(monitor(now[0])) == jax.tree.structure(logged)


def test_what_observe_keeps_is_its_own():
    """A measure may return the parameters, or an array that it returned before."""
    fixed = jnp.arange(3.0)
    optimizer = ja.observe(lambda parameters: (parameters, fixed, 2.0, np.float32(3)))
    parameters = {"w": jnp.ones(2)}
    state = optimizer.init(parameters)

    def step(parameters, state):
        updates, state = optimizer.update(parameters, state, parameters)
        return optax.apply_updates(parameters, updates), state

    step = jax.jit(step, donate_argnums=(0, 1))
    for _ in range(2):
        parameters, state = step(parameters, state)
    np.testing.assert_array_equal(state.records[0]["w"], [2, 2])
    np.testing.assert_array_equal(fixed, [0, 1, 2])
    assert (int(state.step), int(state.measured_at)) == (2, 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bfloat16", "mixed"])
def test_half_precision_is_measured_as_it_is(kind):
    """Every measure of a layer is that of its activations, which float32 holds exactly."""
    model = Net(kind)
    state = nnx.state(model)
    measures = {name: m for name, m in MEASURES.items() if name not in ("weight", "change")}
    tap = ja.tap(model, ["first", "second"])
    monitor = ja.monitor(tap, X, Y, measures=measures, method="svd")
    outputs, activations = tap(state, X)
    logged = monitor(state)
    previous = X
    for name, values in activations.items():
        assert values.dtype == jnp.bfloat16
        exact = np.asarray(values, np.float32)
        s = ja.spectrum(ja.prepare(exact), Y, method="svd")
        null = ja.permutation_null(ja.prepare(exact), Y)
        expected = {
            "area": ja.alignment_area(s)[0],
            "curve": ja.alignment_curve(s, TAU)[:, 0],
            "null": ja.alignment_area(null)[0],
            "size": (exact**2).mean(),
            "least": exact.min(),
            "previous": exact.sum() * previous.sum(),
            "fixed": (exact.T @ FIXED).sum(),
        }
        for measure, value in expected.items():
            found = np.asarray(logged[name][measure], float)
            np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-4, err_msg=measure)
        previous = exact
    assert logged["outputs"]["output"] == outputs.max()
