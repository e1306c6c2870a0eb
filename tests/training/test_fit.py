import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.training import classification
from jaxalign.training._batches import schedule
from jaxalign.training._chunk import Data, Recipe, compiled, of_one


def fit(task, model, **settings):
    settings = {
        "steps": 30,
        "batch_size": 16,
        "chunk": 7,
        "monitor": task.monitor(model),
    } | settings
    return ja.fit(model, optax.adam(1e-2), task.inputs, task.labels, **settings)


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(("steps", "chunk"), [(1, 1), (1, 64), (6, 7), (13, 7), (14, 5)])
def test_a_row_for_every_step_and_the_untrained_network(task, x64, steps, chunk):
    _, history = fit(task, task.model(), steps=steps, chunk=chunk)
    np.testing.assert_array_equal(history.step, np.arange(steps + 1))
    for leaf in jax.tree.leaves((history.loss, history.metrics, history.layers)):
        assert len(leaf) == steps + 1
        assert leaf.dtype == np.float32
        assert np.isfinite(leaf).all()


def test_agrees_with_a_plain_python_loop(task):
    """The same updates and measurements, written out step by step without chunks or scan."""
    steps, batch = 12, 16
    state, history = fit(task, task.model(), steps=steps, chunk=5)

    model, optimizer = task.model(), optax.adam(1e-2)
    watch = task.monitor(model)
    graph, params = nnx.split(model)
    opt_state = optimizer.init(params)
    order = np.concatenate(
        [np.random.default_rng((0, epoch)).permutation(90) for epoch in range(4)]
    )

    def loss_of(params, rows):
        return classification(
            nnx.merge(graph, params)(jnp.asarray(task.inputs[rows])), jnp.asarray(task.labels[rows])
        )

    for step in range(steps + 1):
        rows = order[step * batch : (step + 1) * batch]
        (loss, metrics), gradient = jax.value_and_grad(loss_of, has_aux=True)(params, rows)
        np.testing.assert_allclose(history.loss[step], loss, rtol=1e-4)
        np.testing.assert_allclose(
            history.metrics["accuracy"][step], metrics["accuracy"], rtol=1e-6
        )
        records = watch(params)
        for name, record in records.items():
            np.testing.assert_allclose(history.layers[name].area[step], record.area, rtol=1e-3)
        if step < steps:
            updates, opt_state = optimizer.update(gradient, opt_state, params)
            params = optax.apply_updates(params, updates)
    for a, b in zip(jax.tree.leaves(state.model), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    assert state.step == steps


def test_chunks_do_not_change_the_run(task):
    one, whole = fit(task, task.model(), chunk=1000)
    other, parts = fit(task, task.model(), chunk=4)
    for a, b in zip(jax.tree.leaves((one, whole)), jax.tree.leaves((other, parts)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("steps", "every", "chunk"),
    [(30, 1, 7), (30, 4, 7), (30, 10, 64), (12, 4, 4), (5, 9, 3), (9, 3, 1)],
)
def test_every_kth_step_is_measured_and_all_are_trained(task, steps, every, chunk):
    _, whole = fit(task, task.model(), steps=steps)
    _, some = fit(task, task.model(), steps=steps, every=every, chunk=chunk)
    np.testing.assert_array_equal(some.step, whole.step)
    np.testing.assert_allclose(some.loss, whole.loss, rtol=1e-4)
    np.testing.assert_array_equal(some.measured, np.arange(0, steps + 1, every))
    for name, record in some.layers.items():
        np.testing.assert_allclose(
            record.curve, whole.layers[name].curve[some.measured], rtol=1e-3, atol=1e-3
        )


def test_steps_between_measurements_cost_nothing(task):
    """The program that trains between them holds no eigensolver: one stands outside the inner loop."""
    model = task.model()
    run = of_one(Recipe(nnx.graphdef(model), optax.sgd(0.1), classification, 30))
    start = ja.TrainState(
        jnp.zeros((), jnp.int32), nnx.state(model), optax.sgd(0.1).init(nnx.state(model))
    )
    data = Data(task.monitor(model), jnp.asarray(task.inputs), jnp.asarray(task.labels))
    jaxpr = jax.make_jaxpr(run)(start, jnp.zeros((3, 5, 16), jnp.int32), None, data)
    outer = next(e for e in jaxpr.jaxpr.eqns if e.primitive.name == "scan")
    inner = next(e for e in outer.params["jaxpr"].eqns if e.primitive.name == "scan")
    assert "eigh" in str(outer.params["jaxpr"])
    assert "eigh" not in str(inner.params["jaxpr"])


def test_deferred_measurements_are_the_exact_ones(task):
    model = task.model()
    _, exact = fit(task, model)
    _, deferred = fit(task, model, monitor=task.monitor(model, defer=True), every=2)
    for name, record in deferred.layers.items():
        for part, whole in zip(record, exact.layers[name], strict=True):
            np.testing.assert_allclose(part, whole[::2], rtol=1e-3, atol=1e-3)


def test_quadrature_in_place_of_spectra(task):
    """Area and loss agree; of as many steps as a layer is wide the curve is exact; what random
    labels give is not known.
    """
    model = task.model()
    _, exact = fit(task, model)
    _, quick = fit(task, model, monitor=task.monitor(model, method="quadrature"))
    np.testing.assert_allclose(quick.loss, exact.loss, rtol=1e-5)
    for name in ("hidden_1", "hidden_2"):
        np.testing.assert_allclose(quick.layers[name].area, exact.layers[name].area, rtol=5e-3)
        np.testing.assert_allclose(
            quick.layers[name].alignment, exact.layers[name].alignment, atol=0.1
        )
        assert np.isnan(quick.layers[name].null).all()
    assert np.isfinite(quick.layers["input"].null).all()


def test_a_model_or_an_objective_that_fit_cannot_use_is_refused(task):
    class Pair(nnx.Module):
        def __init__(self):
            self.layer = nnx.Linear(6, 1, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return self.layer(x), x

    with pytest.raises(ValueError, match="model must return one array of outputs, found a tuple"):
        ja.fit(Pair(), optax.sgd(0.1), task.inputs, task.labels, steps=1)
    with pytest.raises(
        ValueError, match=r"objective must return a scalar loss first, found shape \(16,\)"
    ):
        fit(task, task.model(), objective=lambda outputs, labels: (outputs[:, 0], {}))
    with pytest.raises(ValueError, match="every must be at least 1, found 0"):
        fit(task, task.model(), every=0)


def test_same_seed_same_rows_other_seed_other_rows(task):
    assert_same(fit(task, task.model()), fit(task, task.model()))
    _, first = fit(task, task.model())
    _, other = fit(task, task.model(), seed=1)
    assert first.loss[0] != other.loss[0]


def test_the_model_given_is_not_changed(task):
    model = task.model()
    before = jax.tree.map(jnp.copy, nnx.state(model))
    state, _ = fit(task, model)
    assert_same(before, nnx.state(model))
    nnx.update(model, state.model)
    assert classification(model(task.inputs), jnp.asarray(task.labels))[0] < 0.7


def test_an_optimizer_may_keep_the_parameters_themselves(task):
    """Schedule-free optimizers and averages do; the same array must then not be donated twice, or
    taken from the model.
    """
    pull = optax.GradientTransformation(
        init=lambda params: params,
        update=lambda updates, anchor, params: (
            jax.tree.map(lambda u, a, p: u + 0.1 * (a - p), updates, anchor, params),
            anchor,
        ),
    )
    model = task.model()
    before = jax.tree.map(jnp.copy, nnx.state(model))
    ja.fit(
        model,
        optax.chain(optax.sgd(0.1), pull),
        task.inputs,
        task.labels,
        steps=9,
        chunk=4,
        batch_size=16,
    )
    assert_same(before, nnx.state(model))


def test_rows_are_observed_in_order_one_chunk_behind(task):
    seen = []
    _, history = fit(task, task.model(), callback=seen.append)
    np.testing.assert_array_equal(np.concatenate([part.step for part in seen]), history.step)
    assert len(seen) == 5


def test_measuring_does_not_change_training(task):
    measured, _ = fit(task, task.model())
    plain, history = fit(task, task.model(), monitor=None)
    for a, b in zip(jax.tree.leaves(measured), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert not history.layers


def test_a_diverged_run_logs_nan_and_goes_on(task):
    model = task.model()
    _, history = ja.fit(
        model,
        optax.sgd(1e30),
        task.inputs,
        task.labels,
        steps=20,
        batch_size=16,
        chunk=6,
        monitor=task.monitor(model),
    )
    assert len(history.step) == 21
    assert np.isfinite(history.layers["hidden_2"].area[0])
    assert np.isnan(history.loss[-1])
    last = history.layers["hidden_2"]
    assert np.isnan(last.area[-1])
    assert np.isnan(last.alignment[-1]).all()
    assert np.isnan(last.curve[-1, 1:]).all()
    assert np.isfinite(history.layers["input"].area).all()


def test_several_classes(task):
    model = task.model(outputs=3)
    labels = np.arange(90) % 3
    watch = ja.monitor(ja.tap(model), task.inputs, ja.encode_targets(labels))
    _, history = ja.fit(model, optax.adam(1e-2), task.inputs, labels, steps=5, monitor=watch)
    assert list(history.layers) == ["input", "hidden_1", "hidden_2", "logits"]
    assert history.total == pytest.approx(90)


def test_an_objective_of_ones_own_and_a_model_with_more_state_than_parameters(task):
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.hidden = nnx.Linear(6, 8, rngs=rngs)
            self.norm = nnx.BatchNorm(8, rngs=rngs)
            self.dropout = nnx.Dropout(0.1, rngs=rngs)
            self.out = nnx.Linear(8, 1, rngs=rngs)

        def __call__(self, x):
            return self.out(self.dropout(nnx.relu(self.norm(self.hidden(x)))))

    def regression(outputs, targets):
        error = outputs[:, 0] - targets
        return jnp.mean(error**2), {"worst": jnp.abs(error).max()}

    model = Net(nnx.Rngs(0))
    targets = task.inputs[:, 0] * 2
    watch = ja.monitor(ja.tap(model, "out", at="input"), task.inputs, ja.encode_targets(targets))
    state, history = ja.fit(
        model,
        optax.adam(1e-2),
        task.inputs,
        targets,
        steps=100,
        monitor=watch,
        objective=regression,
        batch_size=30,
    )
    assert history.loss[-10:].mean() < history.loss[:10].mean() / 2
    assert set(history.metrics) == {"worst"}
    assert not np.allclose(state.model["norm"]["mean"][...], 0)


def test_an_interrupt_is_passed_on_after_the_running_chunk_was_observed(task):
    seen = []

    def observe(part):
        seen.extend(part.step.tolist())
        if len(seen) >= 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(task, task.model(), steps=100, callback=observe)
    assert seen == list(range(21))


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
        fit(task, task.model(), **settings)


def test_inputs_and_labels_must_match(task):
    with pytest.raises(ValueError, match="as many rows"):
        ja.fit(task.model(), optax.sgd(0.1), task.inputs, task.labels[:-1], steps=1)
    with pytest.raises(ValueError, match="inputs must be finite"):
        ja.fit(
            task.model(), optax.sgd(0.1), np.full_like(task.inputs, np.inf), task.labels, steps=1
        )


def test_no_callback_and_one_program_for_all_chunks(task):
    """Nothing in the compiled chunk calls the host, and the last, partial chunk runs the same
    program.
    """
    model = task.model()
    graph, variables = nnx.split(model)
    optimizer = optax.adam(1e-2)
    run = compiled(of_one(Recipe(graph, optimizer, classification, 20)), None)
    state = ja.TrainState(jnp.zeros((), jnp.int32), variables, optimizer.init(variables))
    batches = list(schedule(90, 16, 20, 1, 8).batches(seed=0, done=0))
    assert {b.shape for b in batches} == {(7, 1, 16)}
    data = Data(task.monitor(model), jnp.asarray(task.inputs), jnp.asarray(task.labels))
    text = run.lower(state, batches[0], None, data).compile().as_text()
    called = set(re.findall(r'custom_call_target="([^"]+)"', text))
    assert any("syevd" in target for target in called)
    assert not any("callback" in target for target in called)
    assert "infeed" not in text
