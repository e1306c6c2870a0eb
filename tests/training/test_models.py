"""Models and objectives of users: state beside parameters, sown variables, losses of any form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.monitoring import of_features

# What flax says to models that sow outside of nnx.capture.
pytestmark = pytest.mark.filterwarnings("ignore:Using 'Module.sow:DeprecationWarning")

MEAN = {"mean": of_features(jnp.mean)}


class Mine(nnx.Variable):
    """A kind of variable that a user sows."""


class Sowing(nnx.Module):
    """An MLP of one hidden layer that sows its activations as ``kind``, or nothing."""

    def __init__(self, seed: int = 0, kind: type[nnx.Variable] | None = nnx.Intermediate):
        rngs = nnx.Rngs(seed)
        self.kind = kind
        self.hidden = nnx.Linear(6, 8, rngs=rngs)
        self.out = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, x):
        activations = nnx.relu(self.hidden(x))
        if self.kind is not None:
            self.sow(self.kind, "activations", activations)
        return self.out(activations)


def squared(outputs, targets):
    return jnp.mean((outputs[:, 0] - targets) ** 2)


@pytest.fixture(scope="module")
def plain(task):
    """The history of a model that sows nothing."""
    model = Sowing(kind=None)
    return task.fit(model, monitor=task.monitor(model, "hidden", measures=MEAN))[1]


def assert_same_log(history, expected):
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-5)
    found = history.layers["hidden"]["mean"]
    np.testing.assert_allclose(found, expected.layers["hidden"]["mean"], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("calls", [0, 1, 3])
@pytest.mark.parametrize("tapped_first", [True, False])
def test_a_model_that_sows_trains_also_when_it_was_called_before(task, plain, calls, tapped_first):
    model = Sowing()
    monitor = None
    if tapped_first:
        monitor = task.monitor(model, "hidden", measures=MEAN)
    for _ in range(calls):
        model(task.inputs[:5])
    if monitor is None:
        monitor = task.monitor(model, "hidden", measures=MEAN)
    state, history = task.fit(model, monitor=monitor)
    assert_same_log(history, plain)
    nnx.update(model, state.model)
    assert model(task.inputs[:5]).shape == (5, 1)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_several_of_which_one_was_called_before(task, plain, devices):
    models = [Sowing(0), Sowing(1)]
    models[1](task.inputs[:5])
    mesh = None if devices is None else jax.make_mesh((devices,), ("data",))
    monitor = task.monitor(models[1], "hidden", measures=MEAN)
    _, history = task.fit(models, monitor=monitor, mesh=mesh)
    assert_same_log(history.of(0), plain)


@pytest.mark.slow
def test_its_batches_are_measured(task):
    def encode(labels):
        return ja.encode_targets(labels, classes=(0, 1))

    model = Sowing()
    model(task.inputs[:5])
    monitor = ja.batch_monitor(ja.tap(model, "hidden"), encode, 16, measures=MEAN)
    _, history = task.fit(model, monitor=monitor)
    rows = np.random.default_rng((0, 0)).permutation(90)[:16]
    first = model.hidden(jnp.asarray(task.inputs[rows]))
    np.testing.assert_allclose(history.layers["hidden"]["mean"][0], first.mean(), rtol=1e-5)


def test_variables_of_a_users_kind_may_be_sown(task, plain):
    model = Sowing(kind=Mine)
    _, history = task.fit(model, monitor=task.monitor(model, "hidden", measures=MEAN))
    assert_same_log(history, plain)
    model(task.inputs[:5])
    with pytest.raises(ValueError, match=r"'activations' of the model .*nnx.pop\(model, Mine\)"):
        task.fit(model, monitor=None)
    nnx.pop(model, Mine)
    assert_same_log(task.fit(model, monitor=task.monitor(model, "hidden", measures=MEAN))[1], plain)


@pytest.mark.slow
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
    settings = {"steps": 100, "objective": regression, "batch_size": 30, "every": 25}
    monitor = ja.monitor(
        ja.tap(model, "out", at="input"),
        task.inputs,
        ja.encode_targets(targets),
        measures={"area": ja.alignment_area},
        method="svd",
    )
    state, history = ja.fit(
        model, optax.adam(1e-2), task.inputs, targets, monitor=monitor, **settings
    )
    assert history.loss[-10:].mean() < history.loss[:10].mean() / 2
    assert set(history.metrics) == {"worst"}
    assert not np.allclose(state.model["norm"]["mean"][...], 0)
    centered = targets - targets.mean()
    assert history.totals["out"] == pytest.approx(float(centered @ centered), rel=1e-5)


def encode(labels):
    return ja.encode_targets(labels, classes=(0, 1))


def with_constants(outputs, labels):
    return squared(outputs, labels), {"rate": 0.1, "classes": 2}


@pytest.mark.slow
@pytest.mark.parametrize("of_batch", [False, True])
def test_an_objective_may_return_the_loss_alone_or_constants_beside_it(task, of_batch):
    model = task.model()
    monitor = None
    if of_batch:
        monitor = ja.batch_monitor(ja.tap(model, "hidden_*"), encode, 16, measures=MEAN)
    _, alone = task.fit(model, objective=squared, monitor=monitor)
    _, pair = task.fit(model, objective=with_constants, monitor=monitor)
    assert alone.metrics == {}
    assert alone.loss[-1] < alone.loss[0]
    np.testing.assert_allclose(pair.loss, alone.loss, rtol=1e-6)
    np.testing.assert_allclose(pair.metrics["rate"], np.full(21, 0.1), rtol=1e-6)
    np.testing.assert_array_equal(pair.metrics["classes"], np.full(21, 2))


def test_a_loss_alone_is_written_and_read_back(task, tmp_path):
    writer = ja.RunWriter(tmp_path, {})
    models = [task.model(seed) for seed in (3, 5)]
    _, history = task.fit(models, objective=squared, monitor=None, callback=writer.write)
    read = ja.read_history(tmp_path)
    np.testing.assert_array_equal(read.loss, history.loss)
    assert read.metrics == {}


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda loss, outputs: outputs[:, 0], r"scalar loss first, found shape \(16,\)"),
        (lambda loss, outputs: (outputs[:, 0], {}), r"scalar loss first, found shape \(16,\)"),
        (lambda loss, outputs: (loss, {"error": outputs}), r"metric 'error' .*shape \(16, 1\)"),
        (lambda loss, outputs: (loss, loss), r"or the pair \(loss, {metric: scalar}\)"),
        (lambda loss, outputs: (loss, {}, loss), "found a tuple of 3"),
        (lambda loss, outputs: (loss, {"step": loss}), "metric 'step' .* of a logged column"),
        (lambda loss, outputs: (loss, {"layers": loss}), "metric 'layers' .* of a logged column"),
        (lambda loss, outputs: (loss, {"measured": loss}), "metric 'measured' .* logged column"),
        (lambda loss, outputs: (loss, {"mean": loss}), "measure 'mean' has the name of a metric"),
    ],
)
def test_what_an_objective_returns_is_checked(task, returned, message):
    model = task.model()
    monitor = task.monitor(model, measures=MEAN)
    with pytest.raises(ValueError, match=message):
        task.fit(model, monitor=monitor, objective=lambda o, y: returned(squared(o, y), o))


def test_what_cannot_be_trained_is_named(task):
    class Scaled(nnx.Module):
        def __init__(self, kind, dtype):
            self.factors = kind(jnp.ones(6, dtype))

        def __call__(self, x):
            return (x * self.factors[...]).sum(1, keepdims=True)

    with pytest.raises(ValueError, match=r"parameter 'factors' .* found int32, which has no grad"):
        task.fit(Scaled(nnx.Param, jnp.int32), monitor=None)
    with pytest.raises(ValueError, match=r"must have parameters to train, found none; .*nnx.Param"):
        task.fit(Scaled(nnx.Variable, jnp.float32), monitor=None)
