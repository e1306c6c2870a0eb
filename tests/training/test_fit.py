import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.monitoring import of_features
from jaxalign.training import classification


@pytest.fixture(scope="module")
def run(task):
    """(state, history, parts) of one measured run."""
    parts = []
    state, history = task.fit(task.model(), callback=parts.append)
    return state, history, parts


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("steps", "chunk"),
    [
        (20, 7),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in [(1, 64), (13, 7), (14, 5)]),
    ],
)
def test_a_row_for_every_step_and_the_untrained_network(task, x64, steps, chunk):
    model = task.model()
    _, history = task.fit(model, steps=steps, chunk=chunk)
    np.testing.assert_array_equal(history.step, np.arange(steps + 1))
    for leaf in jax.tree.leaves((history.loss, history.metrics, history.layers)):
        assert len(leaf) == steps + 1
        assert leaf.dtype == np.float32
        assert np.isfinite(leaf).all()


@pytest.mark.gpu
def test_agrees_with_a_plain_python_loop(task, run):
    """The same updates and measurements, written out step by step without chunks or scan."""
    state, history, _ = run
    model = task.model()
    optimizer = optax.adam(1e-2)
    tap = jax.jit(ja.tap(model, "hidden_*"))
    targets = np.asarray(ja.encode_targets(task.labels[:40]))
    graph, params = nnx.split(model)
    opt_state = optimizer.init(params)
    order = np.concatenate(
        [np.random.default_rng((0, epoch)).permutation(90) for epoch in range(4)]
    )

    def loss_of(params, inputs, labels):
        return classification(nnx.merge(graph, params)(inputs), labels)

    @jax.jit
    def update(params, opt_state, inputs, labels):
        value_of = jax.value_and_grad(loss_of, has_aux=True)
        (loss, metrics), gradient = value_of(params, inputs, labels)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return loss, metrics, optax.apply_updates(params, updates), opt_state

    for step in range(21):
        rows = order[step * 16 : (step + 1) * 16]
        loss, metrics, moved, opt_state = update(
            params, opt_state, task.inputs[rows], task.labels[rows]
        )
        np.testing.assert_allclose(history.loss[step], loss, rtol=1e-4)
        np.testing.assert_allclose(
            history.metrics["accuracy"][step], metrics["accuracy"], rtol=1e-6
        )
        for name, x in tap(params, task.inputs[:40])[1].items():
            u, sigma, _ = np.linalg.svd(np.float64(ja.prepare(x)), full_matrices=False)
            area = sigma @ (u.T @ targets) ** 2
            np.testing.assert_allclose(history.layers[name]["area"][step], area[0], rtol=1e-3)
        if step < 20:
            params = moved
    for a, b in zip(jax.tree.leaves(state.model), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    assert state.step == 20


@pytest.mark.gpu
def test_chunks_do_not_change_the_run(task, run):
    state, history, _ = run
    whole = task.fit(task.model(), chunk=1000)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves((state, history)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("every", "chunk"),
    [
        (4, 7),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in [(1, 4), (10, 64), (4, 4)]),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in [(21, 3), (25, 3), (3, 1)]),
    ],
)
def test_every_kth_step_is_measured_and_all_are_trained(task, run, every, chunk):
    _, whole, _ = run
    _, some = task.fit(task.model(), every=every, chunk=chunk)
    np.testing.assert_array_equal(some.step, whole.step)
    np.testing.assert_allclose(some.loss, whole.loss, rtol=1e-4)
    np.testing.assert_array_equal(some.measured, np.arange(0, 21, every))
    for name, logged in some.layers.items():
        np.testing.assert_allclose(
            logged["curve"], whole.layers[name]["curve"][some.measured], rtol=1e-3, atol=1e-3
        )


@pytest.mark.gpu
@pytest.mark.slow
def test_deferred_measurements_are_the_exact_ones(task, run):
    _, exact, _ = run
    model = task.model()
    _, deferred = task.fit(model, monitor=task.monitor(model, defer=True), every=2)
    for name, logged in deferred.layers.items():
        assert list(logged) == list(exact.layers[name])
        for measure, values in logged.items():
            np.testing.assert_allclose(
                values, exact.layers[name][measure][::2], rtol=1e-3, atol=1e-3
            )


@pytest.mark.gpu
@pytest.mark.slow
def test_quadrature_in_place_of_spectra(task, run):
    """Area and loss agree; of as many steps as a layer is wide the curve is exact; what random
    labels give is not known, and not there.
    """
    _, exact, _ = run
    model = task.model()
    _, quick = task.fit(model, monitor=task.monitor(model, method="quadrature"))
    np.testing.assert_allclose(quick.loss, exact.loss, rtol=1e-5)
    for name in ("hidden_1", "hidden_2"):
        found = quick.layers[name]
        np.testing.assert_allclose(found["area"], exact.layers[name]["area"], rtol=5e-3)
        np.testing.assert_allclose(found["alignment"], exact.layers[name]["alignment"], atol=0.1)
    for logged in quick.layers.values():
        assert list(logged) == ["area", "alignment", "curve"]
        assert all(np.isfinite(values).all() for values in logged.values())


def test_a_model_or_an_objective_that_fit_cannot_use_is_refused(task):
    class Pair(nnx.Module):
        def __init__(self):
            self.layer = nnx.Linear(6, 1, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return self.layer(x), x

    with pytest.raises(ValueError, match="model must return one array of outputs, found a tuple"):
        task.fit(Pair(), monitor=None)
    with pytest.raises(
        ValueError, match=r"objective must return a scalar loss first, found shape \(16,\)"
    ):
        task.fit(task.model(), monitor=None, objective=lambda outputs, labels: (outputs[:, 0], {}))
    with pytest.raises(ValueError, match="every must be at least 1, found 0"):
        task.fit(task.model(), every=0)


def test_same_seed_same_rows_other_seed_other_rows(task, run):
    state, first, _ = run
    assert_same(task.fit(task.model()), (state, first))
    _, other = task.fit(task.model(), seed=1)
    assert first.loss[0] != other.loss[0]


def test_the_model_given_is_not_changed(task):
    model = task.model()
    before = jax.tree.map(jnp.copy, nnx.state(model))
    state, _ = task.fit(model)
    assert_same(before, nnx.state(model))
    nnx.update(model, state.model)
    assert classification(model(task.inputs), jnp.asarray(task.labels))[0] < 0.7


def test_rows_are_observed_in_order_one_chunk_behind(run):
    _, history, parts = run
    np.testing.assert_array_equal(np.concatenate([part.step for part in parts]), history.step)
    assert [len(part.step) for part in parts] == [7, 7, 7]


@pytest.mark.gpu
def test_measuring_does_not_change_training(task, run):
    measured, _, _ = run
    plain, history = task.fit(task.model(), monitor=None)
    for a, b in zip(jax.tree.leaves(measured), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert not history.layers
    assert not len(history.measured)


@pytest.mark.gpu
def test_a_diverged_run_logs_nan_and_goes_on(task):
    _, history = task.fit(task.model(), optax.sgd(1e30))
    assert len(history.step) == 21
    assert np.isnan(history.loss[-1])
    last = history.layers["hidden_2"]
    assert np.isfinite(last["area"][0])
    assert np.isnan(last["area"][-1])
    assert np.isnan(last["alignment"][-1]).all()
    assert np.isnan(last["curve"][-1, 1:]).all()
    assert np.isfinite(history.layers["input"]["area"]).all()


def test_several_classes(task):
    model = task.model(outputs=3)
    labels = np.arange(90) % 3
    targets = ja.encode_targets(labels)
    measures = {"mean": of_features(jnp.mean)}
    monitor = ja.monitor(ja.tap(model), task.inputs, targets, measures=measures)
    settings = {"steps": 5, "monitor": monitor}
    _, history = ja.fit(model, optax.adam(1e-2), task.inputs, labels, **settings)
    assert list(history.layers) == ["input", "hidden_1", "hidden_2", "logits"]
    assert history.totals == pytest.approx(dict.fromkeys(history.layers, 90))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, found 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"chunk": -1}, "chunk must be at least 1"),
        ({"batch_size": 91}, "batch_size must be at most the 90 rows there are, found 91"),
    ],
)
def test_bad_settings_are_explained(task, settings, message):
    with pytest.raises(ValueError, match=message):
        task.fit(task.model(), **settings)


def test_inputs_and_labels_must_match(task):
    model = task.model()
    with pytest.raises(ValueError, match="as many rows"):
        ja.fit(model, optax.sgd(0.1), task.inputs, task.labels[:-1], steps=1)
    with pytest.raises(ValueError, match="inputs must be finite"):
        ja.fit(model, optax.sgd(0.1), np.full_like(task.inputs, np.inf), task.labels, steps=1)
    with pytest.raises(ValueError, match="labels are missing"):
        ja.fit(model, optax.sgd(0.1), task.inputs, steps=1)
    pair, named = (task.inputs, task.labels), {"image": task.inputs, "label": task.labels}
    for batches in ((pair,) * 3, (named,) * 2):
        with pytest.raises(ValueError, match=r"found a tuple of .; pass batches as a list"):
            ja.fit(model, optax.sgd(0.1), batches, steps=1)


def test_inputs_and_labels_may_be_a_pair(task):
    settings = {"steps": 20, "batch_size": 16, "chunk": 7}
    _, pair = ja.fit(task.model(), optax.adam(1e-2), (task.inputs, task.labels), **settings)
    np.testing.assert_array_equal(pair.loss, task.fit(task.model(), monitor=None)[1].loss)
