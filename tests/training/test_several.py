"""Several models as one program: seeds and sweeps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxalign as ja

SEEDS = (3, 5, 8)


def fit(task, models, optimizer=None, **settings):
    first = models[0] if isinstance(models, list) else models
    settings = {"steps": 20, "batch_size": 16, "chunk": 7, "probe": task.probe(first)} | settings
    return ja.fit(models, optimizer or optax.adam(1e-2), task.inputs, task.labels, **settings)


def assert_close(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-3, atol=1e-4)


def of_model(history, i):
    take = lambda tree: jax.tree.map(lambda x: x[:, i], tree)
    return history._replace(loss=history.loss[:, i], metrics=take(history.metrics), layers=take(history.layers))


@pytest.mark.parametrize(("measure", "every"), [("exact", 1), ("deferred", 4), ("quadrature", 3)])
def test_each_model_runs_as_it_would_alone(task, measure, every):
    models = [task.model(seed) for seed in SEEDS]
    probe = task.probe(models[0], measure=measure)
    states, together = fit(task, models, seed=SEEDS, probe=probe, every=every)
    assert together.loss.shape == (21, 3)
    assert together.layers["hidden_2"].curve.shape == (len(together.measured), 3, 64)
    assert together.step.shape == (21,)
    for i, seed in enumerate(SEEDS):
        state, alone = fit(task, task.model(seed), seed=seed, probe=probe, every=every)
        assert_close(of_model(together, i), alone)
        assert_close(jax.tree.map(lambda x, i=i: x[i], states.model), state.model)


def test_one_seed_for_all_is_one_order_for_all(task):
    _, together = fit(task, [task.model(1), task.model(1), task.model(2)], seed=4)
    np.testing.assert_array_equal(together.loss[:, 0], together.loss[:, 1])
    assert_close(of_model(together, 2), fit(task, task.model(2), seed=4)[1])


def test_a_sweep_of_step_sizes(task):
    rates = np.array([1e-3, 1e-2, 1e-1], np.float32)
    _, together = fit(task, [task.model()] * 3, lambda rate: optax.adamw(rate), hyperparameters=rates)
    for i, rate in enumerate(rates):
        assert_close(of_model(together, i), fit(task, task.model(), optax.adamw(float(rate)))[1])


def test_a_sweep_of_two_hyperparameters(task):
    settings = {"rate": np.array([0.1, 0.1]), "momentum": np.array([0.0, 0.9])}
    optimizer = lambda h: optax.sgd(h["rate"], momentum=h["momentum"])
    _, together = fit(task, [task.model()] * 2, optimizer, hyperparameters=settings)
    assert_close(of_model(together, 1), fit(task, task.model(), optax.sgd(0.1, momentum=0.9))[1])
    assert not np.allclose(together.loss[-1, 0], together.loss[-1, 1])


def test_several_go_on_from_a_checkpoint(task, tmp_path):
    models = [task.model(seed) for seed in SEEDS]
    _, whole = fit(task, models, seed=SEEDS, steps=27)
    kept = ja.Checkpoints(tmp_path, every=7)

    def stop(part):
        if part.step[-1] >= 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(task, models, seed=SEEDS, steps=27, checkpoints=kept, observe=stop)
    _, rest = fit(task, models, seed=SEEDS, steps=27, checkpoints=kept)
    assert rest.step[0] > 0
    np.testing.assert_array_equal(rest.loss, whole.loss[rest.step[0] :])
    with pytest.raises(ValueError, match="seed"):
        fit(task, models, seed=(3, 5, 9), steps=27, checkpoints=kept)


def test_one_of_them_may_diverge(task):
    _, history = fit(task, [task.model()] * 2, optax.sgd, hyperparameters=np.array([0.1, 1e30]))
    assert np.isfinite(history.loss[:, 0]).all()
    assert np.isnan(history.loss[-1, 1])
    assert np.isfinite(history.layers["hidden_2"].curve[:, 0]).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": []}, "found an empty list"),
        ({"seed": (1, 2)}, "one for each of the 3 models, found 2"),
        ({"hyperparameters": np.ones(3)}, "need an optimizer that is a function of them"),
        ({"optimizer": optax.sgd}, "needs hyperparameters"),
        ({"optimizer": optax.sgd, "hyperparameters": np.ones(2)}, r"as many as the list of models, found \(2,\)"),
        ({"optimizer": optax.sgd, "hyperparameters": 0.1}, r"as many as the list of models, found \(\)"),
    ],
)
def test_what_does_not_fit_together_is_refused(task, settings, message):
    models = settings.pop("models", [task.model(seed) for seed in SEEDS])
    optimizer = settings.pop("optimizer", optax.sgd(0.1))
    with pytest.raises(ValueError, match=message):
        ja.fit(models, optimizer, task.inputs, task.labels, steps=2, batch_size=16, **settings)


def test_models_of_other_widths_are_refused(task):
    with pytest.raises(ValueError, match="model 1 is built otherwise than model 0"):
        fit(task, [task.model(), task.model(outputs=3)])


def test_measuring_the_batches_is_measuring_what_the_loss_saw(task):
    """Against a probe of the same rows: the first batch, whose rows are known."""
    model = task.model()
    encode = lambda labels: ja.encode_targets(labels, classes=(0, 1))
    watch = ja.batch_probe(ja.tap(model, "hidden_*"), encode, samples=16)
    settings = {"steps": 9, "batch_size": 16, "chunk": 4}
    _, history = ja.fit(model, optax.adam(1e-2), task.inputs, task.labels, probe=watch, **settings)
    _, plain = ja.fit(model, optax.adam(1e-2), task.inputs, task.labels, **settings)
    np.testing.assert_allclose(history.loss, plain.loss, rtol=1e-5)
    assert list(history.layers) == ["hidden_1", "hidden_2"]
    assert history.layers["hidden_1"].area.shape == (10,)
    rows = np.random.default_rng((0, 0)).permutation(90)[:16]
    fixed = ja.probe(ja.tap(model, "hidden_*"), task.inputs[rows], encode(jnp.asarray(task.labels[rows])), thresholds=(1.0,))
    for name, record in fixed(nnx.state(model)).items():
        if name != "input":
            np.testing.assert_allclose(history.layers[name].area[0], record.area, rtol=1e-4)
            np.testing.assert_allclose(history.layers[name].curve[0], record.curve, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("measure", "every"), [("exact", 4), ("deferred", 1), ("deferred", 3)])
def test_batches_measured_now_and_then(task, measure, every):
    """Of 16 rows the first layer, 17 wide with the bias, is deferred as rows, the second one, 13 wide, as moments."""
    model = task.model()
    encode = lambda labels: ja.encode_targets(labels, classes=(0, 1))
    every_step = ja.batch_probe(ja.tap(model, "hidden_*"), encode, samples=16)
    some = ja.batch_probe(ja.tap(model, "hidden_*"), encode, samples=16, measure=measure)
    settings = {"steps": 11, "batch_size": 16, "chunk": 6}
    _, whole = ja.fit(model, optax.adam(1e-2), task.inputs, task.labels, probe=every_step, **settings)
    _, parts = ja.fit(model, optax.adam(1e-2), task.inputs, task.labels, probe=some, every=every, **settings)
    np.testing.assert_allclose(parts.loss, whole.loss, rtol=1e-4)
    np.testing.assert_array_equal(parts.measured, np.arange(0, 12, every))
    for name, record in parts.layers.items():
        np.testing.assert_allclose(record.area, whole.layers[name].area[parts.measured], rtol=1e-3)


def test_measuring_batches_of_several_models(task):
    models = [task.model(seed) for seed in SEEDS]
    encode = lambda labels: ja.encode_targets(labels, classes=(0, 1))
    watch = ja.batch_probe(ja.tap(models[0], "hidden_*"), encode, samples=16)
    _, together = fit(task, models, seed=SEEDS, probe=watch)
    _, alone = fit(task, models[1], seed=SEEDS[1], probe=watch)
    assert_close(of_model(together, 1), alone)


def test_a_batch_probe_of_another_size_is_refused(task):
    watch = ja.batch_probe(ja.tap(task.model(), "hidden_*"), lambda y: ja.encode_targets(y, classes=(0, 1)), samples=8)
    with pytest.raises(ValueError, match="batch_size must be the probe's 8 samples, found 16"):
        fit(task, task.model(), probe=watch)
