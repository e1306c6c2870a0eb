"""``fit`` trains what ``tap`` taps: one loop for models of every framework."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxalign as ja
from jaxalign.training import classification

ROWS = 8
STEPS = 3
OPTIMIZER = optax.sgd(0.1, momentum=0.9)


class Linen(nn.Module):
    """A network with averages and, if asked for, dropout."""

    rate: float = 0.0

    @nn.compact
    def __call__(self, x, train):
        x = nn.relu(nn.Dense(5, name="first")(x))
        x = nn.BatchNorm(use_running_average=not train, name="norm")(x)
        x = nn.Dropout(self.rate, deterministic=not train)(x)
        return nn.Dense(1, name="last")(x)


def in_training(module, x):
    return module(x, train=True)


def linen(key=0, rate=0.0):
    module = Linen(rate)
    variables = module.init(jax.random.key(key), np.zeros((1, 4), np.float32), train=False)
    call = {"call": in_training}

    def forward(state, x):
        return module.apply(state, x, train=True, mutable=["batch_stats"])

    def loss(parameters, state, x, y):
        outputs, updated = forward({**state, "params": parameters}, x)
        return classification(outputs, y)[0], updated

    def parts(state):
        return state["params"], state

    def merged(parameters, state, updated):
        return {**state, **updated, "params": parameters}

    tap = ja.tap(module, ["first", "norm"], call=lambda module, x: module(x, train=False))
    return (module, variables), variables, call, tap, (loss, parts, merged)


def equinox():
    eqx = pytest.importorskip("equinox", reason="equinox is not installed")

    class Net(eqx.Module):
        first: eqx.nn.Linear
        norm: eqx.nn.BatchNorm
        last: eqx.nn.Linear
        numbers: jax.Array

        def __init__(self, key):
            keys = jax.random.split(key)
            self.first = eqx.nn.Linear(4, 5, key=keys[0])
            self.norm = eqx.nn.BatchNorm(5, "batch", mode="batch")
            self.last = eqx.nn.Linear(5, 1, key=keys[1])
            self.numbers = jnp.arange(3)  # no parameter

        def __call__(self, x, state):
            x, state = self.norm(jax.nn.relu(self.first(x)), state)
            return self.last(x), state

    model, state = eqx.nn.make_with_state(Net)(jax.random.key(0))
    arrays, rest = eqx.partition(model, eqx.is_array)

    def loss(parameters, state, x, y):
        own = eqx.combine(parameters, state[0], rest)
        axes = {"in_axes": (0, None), "out_axes": (0, None)}
        outputs, updated = jax.vmap(own, axis_name="batch", **axes)(x, state[1])
        return classification(outputs, y)[0], updated

    def parts(state):
        return eqx.filter(state[0], eqx.is_inexact_array), state

    def merged(parameters, state, updated):
        return eqx.combine(parameters, state[0]), updated

    tap = ja.tap(eqx.nn.inference_mode(model), ["first", "norm"])
    return (model, state), (arrays, state), {}, tap, (loss, parts, merged)


def keras():
    keras = pytest.importorskip("keras", reason="keras is not installed")
    layers = keras.layers
    hidden = [layers.Dense(5, "relu", name="first"), layers.BatchNormalization(name="norm")]
    model = keras.Sequential([layers.Input((4,)), *hidden, layers.Dense(1)])
    variables = model.trainable_variables, model.non_trainable_variables
    start = tuple([variable.value for variable in part] for part in variables)

    def loss(parameters, state, x, y):
        outputs, updated = model.stateless_call(parameters, state[1], x, training=True)
        return classification(outputs, y)[0], updated

    def parts(state):
        return state[0], state

    def merged(parameters, state, updated):
        return parameters, updated

    return model, start, {}, ja.tap(model, ["first", "norm"]), (loss, parts, merged)


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).standard_normal((ROWS, 4)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int32)


def by_hand(start, data, loss, parts, merged):
    """Losses and the last state of the loop that a user would write."""

    def step(state, optimizer_state):
        parameters, rest = parts(state)
        graded = jax.value_and_grad(loss, has_aux=True)
        (value, updated), gradient = graded(parameters, rest, *data)
        updates, optimizer_state = OPTIMIZER.update(gradient, optimizer_state, parameters)
        parameters = optax.apply_updates(parameters, updates)
        return merged(parameters, rest, updated), optimizer_state, value

    step = jax.jit(step)
    optimizer_state = OPTIMIZER.init(parts(start)[0])
    losses, state = [], start
    for _ in range(STEPS):
        state, optimizer_state, value = step(state, optimizer_state)
        losses.append(float(value))
    return losses, state


SLOW = [pytest.param(make, marks=pytest.mark.slow) for make in (equinox, keras)]


@pytest.mark.slow
@pytest.mark.parametrize("make", [linen, *SLOW])
def test_the_loop_is_the_one_written_by_hand(make, data):
    model, start, call, tap, loop = make()
    kept = jax.tree.map(np.asarray, start)
    monitors = {
        "fixed": ja.monitor(tap, data[0], ja.encode_targets(data[1])),
        "batch": ja.batch_monitor(tap, lambda y: ja.encode_targets(y, classes=range(2)), ROWS),
    }
    state, history = ja.fit(
        model, OPTIMIZER, *data, steps=STEPS, batch_size=ROWS, monitor=monitors, **call
    )
    losses, expected = by_hand(start, data, *loop)
    np.testing.assert_allclose(history.loss[:STEPS], losses, rtol=1e-4)
    for one, other in zip(jax.tree.leaves(state.model), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    # The model itself has not changed, and the state is what its tap takes.
    for before, now in zip(jax.tree.leaves(kept), jax.tree.leaves(start), strict=True):
        np.testing.assert_array_equal(before, now)
    fixed = ["fixed/input", "fixed/first", "fixed/norm"]
    assert list(history.layers) == [*fixed, "batch/first", "batch/norm"]
    _, activations = tap(state.model, data[0])
    spectrum = ja.spectrum(ja.prepare(activations["norm"]), ja.encode_targets(data[1]))
    area = history.layers["fixed/norm"]["area"][-1]
    np.testing.assert_allclose(area, ja.alignment_area(spectrum).mean(), rtol=1e-3)


@pytest.mark.slow
def test_random_keys_are_new_at_each_step_and_for_each_model(data):
    settings = {"steps": 2, "batch_size": ROWS, "call": in_training}
    still = optax.sgd(0.0)
    model = linen(rate=0.5)[0]
    losses = ja.fit(model, still, *data, **settings)[1].loss
    assert len(set(losses.tolist())) == 3
    np.testing.assert_array_equal(ja.fit(model, still, *data, **settings)[1].loss, losses)
    several = ja.fit([model, model], still, *data, **settings)[1].loss
    np.testing.assert_allclose(several[:, 0], losses, rtol=1e-5)
    assert (several[:, 0] != several[:, 1]).all()


@pytest.mark.slow
def test_checkpoints_and_several_models(tmp_path, data):
    models = [linen(0)[0], linen(1)[0]]
    settings = {"batch_size": 4, "call": in_training, "chunk": 2}
    whole, history = ja.fit(models, OPTIMIZER, *data, steps=4, **settings)
    saved = ja.Checkpoints(tmp_path, every=2)
    ja.fit(models, OPTIMIZER, *data, steps=2, checkpoints=saved, **settings)
    resumed, rest = ja.fit(models, OPTIMIZER, *data, steps=4, checkpoints=saved, **settings)
    for one, other in zip(jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(rest.loss, history.loss[-len(rest.loss) :])


def test_what_cannot_be_trained_is_explained(data):
    (module, variables), *_ = linen()
    fit = ja.fit
    with pytest.raises(TypeError, match=r"flax\.linen module alone; pass \(module, variables\)"):
        fit(module, OPTIMIZER, *data, steps=1)
    with pytest.raises(ValueError, match='must hold "params", found'):
        fit((module, {"batch_stats": variables["batch_stats"]}), OPTIMIZER, *data, steps=1)
    with pytest.raises(ValueError, match="variables must be those of the module"):
        fit((module, {"params": {}}), OPTIMIZER, *data, steps=1, batch_size=4, call=in_training)
    with pytest.raises(TypeError, match="call must be a function, found 'train'"):
        fit((module, variables), OPTIMIZER, *data, steps=1, call="train")
    with pytest.raises(ValueError, match="model 1 is built otherwise"):
        fit([(module, variables), (Linen(0.5), variables)], OPTIMIZER, *data, steps=1)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"kernel_regularizer": "l2"}, r"no losses of its own, found 1.*optax\.adamw"),
        # It is there only when the model runs.
        ({"activity_regularizer": "l2"}, "no losses of its own, found 1"),
        ({"kernel_constraint": "non_neg"}, r"no constraints.*/kernel; keep them by the optimizer"),
    ],
)
def test_what_keras_does_beside_the_objective_is_refused(data, settings, reason):
    keras = pytest.importorskip("keras", reason="keras is not installed")
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1, **settings)])
    with pytest.raises(ValueError, match=reason):
        ja.fit(model, OPTIMIZER, *data, steps=1, batch_size=4)


@pytest.mark.slow
def test_several_keras_models_train_as_each_alone(data):
    models = [keras()[0] for _ in range(2)]
    settings = {"steps": STEPS, "batch_size": ROWS}
    together = ja.fit(models, OPTIMIZER, *data, **settings)[1].loss
    for i, model in enumerate(models):
        alone = ja.fit(model, OPTIMIZER, *data, **settings)[1].loss
        np.testing.assert_allclose(together[:, i], alone, rtol=1e-4)
    assert (together[:, 0] != together[:, 1]).all()
