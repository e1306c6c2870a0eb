"""Two Keras models are the same network if they differ in names, seeds and arrays alone."""

import pytest

from jaxalign.capture._networks import split_model

keras = pytest.importorskip("keras", reason="keras is not installed")
layers = keras.layers


class Silent(keras.Model):
    """A subclass without a configuration: Keras does not know what it was made with."""

    def __init__(self, rate=0.5):
        super().__init__()
        self.rate = rate
        self.hidden = layers.Dense(3)
        self.dropout = layers.Dropout(rate)
        self.build((None, 4))

    def build(self, shape):
        self.hidden.build(shape)
        self.built = True

    def call(self, x):
        return self.dropout(self.hidden(x))


class Told(Silent):
    """A subclass with a configuration."""

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


class Scaled(layers.Layer):
    """A layer: Keras keeps its arguments by itself."""

    def __init__(self, by=2.0):
        super().__init__()
        self.by = by

    def call(self, x):
        return x * self.by


def sequential(seed=0, rate=0.5, dtype="float32", activation="relu", *, trainable=True):
    start = keras.initializers.GlorotUniform(seed=seed)
    dense = layers.Dense(3, activation, kernel_initializer=start, dtype=dtype, trainable=trainable)
    return keras.Sequential([layers.Input((4,)), dense, layers.Dropout(rate, seed=seed)])


def functional(*, shared=True, function=keras.ops.relu):
    x = layers.Input((4,))
    first, second = layers.Dense(4), layers.Dense(4)
    y = function(first(x)) + 1.0
    return keras.Model(x, first(y) if shared else second(y))


def own_layer(by=2.0):
    return keras.Sequential([layers.Input((4,)), layers.Dense(3), Scaled(by)])


def network(model):
    return split_model(model, None).network


@pytest.mark.parametrize(
    ("make", "settings", "others"),
    [
        (
            sequential,
            {"seed": 1},
            [{"rate": 0.1}, {"dtype": "bfloat16"}, {"activation": "tanh"}, {"trainable": False}],
        ),
        (functional, {}, [{"shared": False}, {"function": keras.ops.tanh}]),
        (Told, {}, [{"rate": 0.1}]),
        (own_layer, {}, [{"by": 3.0}]),
    ],
)
def test_models_are_told_apart_by_how_they_are_built(make, settings, others):
    one, same = network(make()), network(make(**settings))
    assert one == same
    assert one == network(one.model)
    assert all(one != network(make(**other)) for other in others)


def test_neither_the_batch_it_was_built_with_nor_how_it_is_compiled_matters():
    one, other = (keras.Sequential([layers.Dense(3), layers.Dense(2)]) for _ in range(2))
    one.build((5, 4))
    other.build((6, 4))
    other.compile("sgd", loss=lambda y, outputs: keras.ops.mean(outputs))
    assert network(one) == network(other)


def test_a_model_without_a_configuration_is_like_itself_alone():
    model = Silent()
    assert network(model) == network(model)
    assert network(model) != network(Silent())
    inside = [keras.Sequential([layers.Input((4,)), one]) for one in (model, Silent())]
    assert network(inside[0]) != network(inside[1])
