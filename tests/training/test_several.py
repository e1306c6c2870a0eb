"""Several models as one program: seeds and sweeps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.monitoring import curve, of_features

SEEDS = (3, 5, 8)
CURVE = {"area": ja.alignment_area, "curve": curve([0.5, 1.0, 2.0])}


def assert_close(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.gpu
@pytest.mark.parametrize(
    ("how", "every"),
    [({"method": "svd"}, 4), ({"method": "quadrature"}, 3), ({"defer": True}, 3)],
    ids=str,
)
def test_each_model_runs_as_it_would_alone(task, how, every):
    models = [task.model(seed) for seed in SEEDS]
    monitor = task.monitor(models[0], **how)
    states, together = task.fit(models, seed=SEEDS, monitor=monitor, every=every)
    assert together.loss.shape == (21, 3)
    assert together.layers["hidden_2"]["curve"].shape == (len(together.measured), 3, 64)
    assert together.step.shape == (21,)
    state, alone = task.fit(task.model(SEEDS[1]), seed=SEEDS[1], monitor=monitor, every=every)
    assert_close(together.of(1), alone)
    assert_close(jax.tree.map(lambda x: x[1], states.model), state.model)


@pytest.mark.slow
def test_one_seed_for_all_is_one_order_for_all(task):
    _, together = task.fit([task.model(1), task.model(1), task.model(2)], seed=4)
    np.testing.assert_array_equal(together.loss[:, 0], together.loss[:, 1])
    assert_close(together.of(2), task.fit(task.model(2), seed=4)[1])


@pytest.mark.slow
def test_a_sweep_of_step_sizes(task):
    rates = np.array([1e-3, 1e-2, 1e-1], np.float32)
    _, together = task.fit(
        [task.model()] * 3, lambda rate: optax.adamw(rate), hyperparameters=rates
    )
    assert_close(together.of(2), task.fit(task.model(), optax.adamw(float(rates[2])))[1])


@pytest.mark.slow
def test_a_sweep_of_two_hyperparameters(task):
    settings = {"rate": np.array([0.1, 0.1]), "momentum": np.array([0.0, 0.9])}

    def optimizer(h):
        return optax.sgd(h["rate"], momentum=h["momentum"])

    measures = {"mean": of_features(lambda x: x.mean(axis=0))}
    monitor = task.monitor(task.model(), measures=measures)
    _, together = task.fit([task.model()] * 2, optimizer, hyperparameters=settings, monitor=monitor)
    _, alone = task.fit(task.model(), optax.sgd(0.1, momentum=0.9), monitor=monitor)
    assert_close(together.of(1), alone)
    assert not np.allclose(together.loss[-1, 0], together.loss[-1, 1])


@pytest.mark.slow
def test_several_go_on_from_a_checkpoint(task, tmp_path):
    models = [task.model(seed) for seed in SEEDS]
    _, whole = task.fit(models, seed=SEEDS)
    kept = ja.Checkpoints(tmp_path, every=7)

    def stop(part):
        if part.step[-1] >= 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        task.fit(models, seed=SEEDS, checkpoints=kept, callback=stop)
    _, rest = task.fit(models, seed=SEEDS, checkpoints=kept)
    assert rest.step[0] > 0
    np.testing.assert_array_equal(rest.loss, whole.loss[rest.step[0] :])
    with pytest.raises(ValueError, match="seed"):
        task.fit(models, seed=(3, 5, 9), checkpoints=kept)


@pytest.mark.slow
def test_one_of_them_may_diverge(task, tmp_path):
    monitor = task.monitor(task.model(), measures=CURVE, method="svd")
    rates = np.array([0.1, 1e30])
    settings = {"monitor": monitor, "checkpoints": ja.Checkpoints(tmp_path)}
    models = [task.model()] * 2
    _, history = task.fit(models, optax.sgd, hyperparameters=rates, **settings)
    assert np.isfinite(history.loss[:, 0]).all()
    assert np.isnan(history.loss[-1, 1])
    assert np.isfinite(history.layers["hidden_2"]["curve"][:, 0]).all()
    same = rates.astype(np.float32)  # what a program makes of them
    _, rest = task.fit(models, optax.sgd, hyperparameters=same, **settings)
    assert len(rest.step) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": []}, "found an empty list"),
        ({"seed": (1, 2)}, "one for each of the 3 models, found 2"),
        ({"hyperparameters": np.ones(3)}, "need an optimizer that is a function of them"),
        ({"optimizer": optax.sgd}, "pass hyperparameters for it"),
        (
            {"optimizer": optax.sgd, "hyperparameters": np.ones(2)},
            r"as many as the list of models, found \(2,\)",
        ),
        (
            {"optimizer": optax.sgd, "hyperparameters": 0.1},
            r"as many as the list of models, found \(\)",
        ),
        (
            {"optimizer": optax.sgd, "hyperparameters": np.array([1, 2, 2**40])},
            "hyperparameters must fit in int32, found 1099511627776",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(task, settings, message):
    models = settings.pop("models", [task.model(seed) for seed in SEEDS])
    optimizer = settings.pop("optimizer", optax.sgd(0.1))
    with pytest.raises(ValueError, match=message):
        ja.fit(models, optimizer, task.inputs, task.labels, steps=2, batch_size=16, **settings)


@pytest.mark.slow
def test_hyperparameters_may_differ_by_less_than_their_rounding(task):
    rates = np.array([0.1, 0.3 - 0.2])
    models = [task.model()] * 2
    _, history = task.fit(models, optax.sgd, hyperparameters=rates, monitor=None)
    np.testing.assert_array_equal(history.loss[:, 0], history.loss[:, 1])


def test_models_of_other_widths_are_refused(task):
    with pytest.raises(ValueError, match="model 1 is built otherwise than model 0"):
        task.fit([task.model(), task.model(outputs=3)])


def test_models_of_other_precision_are_refused(task):
    """Stacked, those of bfloat16 would be trained in float32."""
    half = task.model()
    nnx.update(half, jax.tree.map(lambda x: x.astype(jnp.bfloat16), nnx.state(half)))
    message = r"otherwise than model 0, in 'hidden_1\.bias.*': bfloat16 .*, not float32"
    with pytest.raises(ValueError, match=message):
        task.fit([task.model(), half])
