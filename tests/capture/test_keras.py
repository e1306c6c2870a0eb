"""Layers of Keras models on JAX: functional, sequential, subclassed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja

keras = pytest.importorskip("keras", reason="keras is not installed")
layers = keras.layers

SAMPLES = 6


class Subclassed(keras.Model):
    """A model in the model, a list of layers, and layers of one name."""

    def __init__(self):
        super().__init__()
        dense = layers.Dense(3, name="dense")
        self.encoder = keras.Sequential([dense, layers.BatchNormalization(name="norm")], name="enc")
        self.blocks = [layers.Dense(4, name="block") for _ in range(2)]
        self.head = layers.Dense(1, name="head")

    def call(self, x, training=None):
        x = self.encoder(x, training=training)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def sequential():
    dense = layers.Dense(3, "relu", name="dense")
    others = [layers.BatchNormalization(name="norm"), layers.Dropout(0.5, name="dropout")]
    return keras.Sequential([layers.Input((4,)), dense, *others, layers.Dense(2, name="head")])


def functional():
    x = layers.Input((4,))
    shared = layers.Dense(4, name="shared")
    y = keras.ops.relu(shared(keras.ops.relu(shared(x))))
    return keras.Model(x, layers.Add(name="add")([x, y]))


def masked():
    inside = [layers.Embedding(7, 3, mask_zero=True, name="embed"), layers.GRU(2, name="gru")]
    return keras.Sequential([layers.Input((4,), dtype="int32"), *inside])


PARTS = ("query", "key", "value", "attention_output")


def attending():
    """Attention reads the mask off its inputs: no argument of the graph holds it."""
    tokens = layers.Input((4,), dtype="int32")
    x = layers.Embedding(7, 3, mask_zero=True, name="embed")(tokens)
    x = layers.MultiHeadAttention(1, 3, name="attend")(x, x)
    return keras.Model(tokens, layers.GlobalAveragePooling1D(name="mean")(x))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 4)))
    return model


def state_of(model):
    parts = model.trainable_variables, model.non_trainable_variables
    return tuple([variable.value for variable in part] for part in parts)


@pytest.fixture(scope="module")
def x():
    return jax.random.normal(jax.random.key(2), (SAMPLES, 4))


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (sequential, ["dense", "norm", "dropout", "head"]),
        (functional, ["shared", "shared#2", "add"]),
        (subclassed, ["enc.dense", "enc.norm", "enc", "block", "block#2", "head"]),
        pytest.param(masked, ["embed", "gru"], marks=pytest.mark.slow),
        (attending, ["embed", *(f"attend.{name}" for name in PARTS), "attend", "mean"]),
    ],
)
def test_the_output_is_that_of_the_model(make, names, x):
    model = make()
    inputs = jnp.asarray(10 * x, jnp.int32) % 7 if make in (masked, attending) else x
    classes = {type(layer) for layer in model._flatten_layers()}
    output, activations = ja.tap(model)(state_of(model), inputs)
    np.testing.assert_array_equal(output, model(inputs))
    assert list(activations) == names
    assert {a.shape[0] for a in activations.values()} == {SAMPLES}
    assert {type(layer) for layer in model._flatten_layers()} == classes
    if make is not functional:
        np.testing.assert_array_equal(activations[names[-1]], output)


def test_training_mode_inputs_of_layers_and_filters(x):
    model = sequential()
    before = state_of(model)
    variables = (model.trainable_variables, model.non_trainable_variables)
    output, activations = ja.tap(model, layers.Dense, at="input")(variables, x, training=True)
    expected, updated = model.stateless_call(*before, x, training=True)
    # Means over the batch: two programs may round them differently.
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)
    assert list(activations) == ["dense", "head"]
    np.testing.assert_array_equal(activations["dense"], x)
    # The tap is pure: neither averages nor keys have moved on, as they do in the model.
    for old, new, moved in zip(before[1], state_of(model)[1], updated, strict=True):
        np.testing.assert_array_equal(old, new)
        assert not np.array_equal(old, moved)


def test_monitors_and_another_way_to_call(x):
    model = sequential()
    tap = ja.tap(model, "norm", call=lambda model, x: model(x, training=True))
    monitor = ja.monitor(tap, x, jnp.sign(x[:, :1]))
    assert list(monitor(state_of(model))) == ["input", "norm"]


def test_what_does_not_fit_is_explained(x):
    model = sequential()
    with pytest.raises(TypeError, match=r"found a Sequential; pass \(model\.trainable_variables"):
        ja.tap(model)(model, x)
    with pytest.raises(ValueError, match=r"must have the shapes.*dense/kernel"):
        ja.tap(model)(state_of(functional()), x)
    with pytest.raises(ValueError, match="must be built"):
        ja.tap(Subclassed())
    with pytest.raises(ValueError, match=r"\['nope'\] are not layers.*dense, norm, dropout, head"):
        ja.tap(model, "nope")
    with pytest.raises(TypeError, match="must be a function"):
        ja.tap(model, call="model")
