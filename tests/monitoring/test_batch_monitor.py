"""Measured on the training batches themselves: the activations of the loss's own forward pass."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.monitoring import of_outputs, of_pair


def encode(labels):
    return ja.encode_targets(labels, classes=(0, 1))


@pytest.mark.gpu
@pytest.mark.slow
def test_measuring_the_batches_is_measuring_what_the_loss_saw(task):
    """Against a monitor of the same rows: the first batch, whose rows are known."""
    model = task.model()
    monitor = ja.batch_monitor(ja.tap(model, "hidden_*"), encode, num_samples=16)
    settings = {"steps": 9, "batch_size": 16, "chunk": 4}
    _, history = ja.fit(
        model, optax.adam(1e-2), task.inputs, task.labels, monitor=monitor, **settings
    )
    _, plain = ja.fit(model, optax.adam(1e-2), task.inputs, task.labels, **settings)
    np.testing.assert_allclose(history.loss, plain.loss, rtol=1e-5)
    assert list(history.layers) == ["hidden_1", "hidden_2"]
    assert history.layers["hidden_1"]["area"].shape == (10,)
    rows = np.random.default_rng((0, 0)).permutation(90)[:16]
    fixed = ja.monitor(
        ja.tap(model, "hidden_*"),
        task.inputs[rows],
        encode(jnp.asarray(task.labels[rows])),
    )
    for name, record in fixed(nnx.state(model)).items():
        if name != "input":
            np.testing.assert_allclose(history.layers[name]["area"][0], record["area"], rtol=1e-4)
            np.testing.assert_allclose(
                history.layers[name]["curve"][0], record["curve"], rtol=1e-3, atol=1e-3
            )


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize(("defer", "every"), [(False, 4), (True, 1), (True, 3)])
def test_batches_measured_now_and_then(task, defer, every):
    """Of 16 rows the first layer, 17 wide with the bias, is deferred as rows, the second one, 13
    wide, as moments.
    """
    model = task.model()
    every_step = ja.batch_monitor(ja.tap(model, "hidden_*"), encode, num_samples=16)
    some = ja.batch_monitor(ja.tap(model, "hidden_*"), encode, num_samples=16, defer=defer)
    settings = {"steps": 11, "batch_size": 16, "chunk": 6}
    _, whole = ja.fit(
        model, optax.adam(1e-2), task.inputs, task.labels, monitor=every_step, **settings
    )
    _, parts = ja.fit(
        model, optax.adam(1e-2), task.inputs, task.labels, monitor=some, every=every, **settings
    )
    np.testing.assert_allclose(parts.loss, whole.loss, rtol=1e-4)
    np.testing.assert_array_equal(parts.measured, np.arange(0, 12, every))
    for name, record in parts.layers.items():
        np.testing.assert_allclose(
            record["area"], whole.layers[name]["area"][parts.measured], rtol=1e-3
        )


@pytest.mark.slow
def test_measuring_batches_of_several_models(task):
    models = [task.model(seed) for seed in (3, 5, 8)]
    monitor = ja.batch_monitor(ja.tap(models[0], "hidden_*"), encode, num_samples=16)
    _, together = task.fit(models, seed=(3, 5, 8), monitor=monitor)
    _, alone = task.fit(models[1], seed=5, monitor=monitor)
    for x, y in zip(jax.tree.leaves(together.of(1)), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-3, atol=1e-4)


def test_a_batch_monitor_of_another_size_is_refused(task):
    monitor = ja.batch_monitor(ja.tap(task.model(), "hidden_*"), encode, num_samples=8)
    with pytest.raises(ValueError, match="batch_size must be the monitor's 8 samples, found 16"):
        task.fit(task.model(), monitor=monitor)


@pytest.mark.gpu
def test_outputs_and_pairs_of_the_batch(task):
    """What the forward pass of the loss gave; the first layer has none before it."""
    measures = {
        "sure": of_outputs(lambda outputs: jnp.abs(outputs).mean()),
        "narrower": of_pair(lambda x, y: x.shape[1] / y.shape[1], reference="previous"),
    }
    model = task.model()
    monitor = ja.batch_monitor(ja.tap(model, "hidden_*"), encode, 16, measures=measures)
    _, history = task.fit(model, monitor=monitor)
    assert list(history.layers["outputs"]) == ["sure"]
    assert history.layers["outputs"]["sure"].shape == history.measured.shape
    np.testing.assert_allclose(history.layers["hidden_2"]["narrower"], 12 / 16)
    assert "narrower" not in history.layers["hidden_1"]


@pytest.mark.parametrize("reference", ["start", np.ones((16, 2))], ids=["start", "fixed"])
def test_fixed_samples_are_none_of_a_batch(task, reference):
    measures = {"moved": of_pair(lambda x, y: x.sum(), reference=reference)}
    with pytest.raises(ValueError, match="measure 'moved' compares with fixed samples"):
        ja.batch_monitor(ja.tap(task.model(), "hidden_*"), encode, 16, measures=measures)


def test_a_measure_that_would_be_logged_of_no_layer_is_refused(task):
    model = task.model()
    layers = ja.tap(model, "hidden_1")
    pair = {"cka": of_pair(lambda x, y: x.sum(), reference="previous")}
    message = "measure 'cka' compares a layer with the one before, which hidden_1 does not have"
    with pytest.raises(ValueError, match=message):
        task.fit(model, monitor=ja.batch_monitor(layers, encode, 16, measures=pair))
    whole = np.rint(task.inputs).astype(int)
    with pytest.raises(ValueError, match=message):
        ja.monitor(layers, whole, encode(task.labels), measures=pair)(nnx.state(model))
