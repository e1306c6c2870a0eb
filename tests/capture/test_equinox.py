"""Layers of equinox models, called as equinox models are: ``jax.vmap(model)`` of a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja

eqx = pytest.importorskip("equinox", reason="equinox is not installed")

SAMPLES = 6


class Net(eqx.Module):
    """Layers in a list, in a dict, with a state, with random keys."""

    blocks: list
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    heads: dict

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.blocks = [eqx.nn.Linear(4, 4, key=keys[0]), eqx.nn.Linear(4, 4, key=keys[1])]
        self.norm = eqx.nn.BatchNorm(4, "batch", mode="batch")
        self.dropout = eqx.nn.Dropout(0.5)
        self.heads = {"class": eqx.nn.Linear(4, 2, key=keys[2])}

    def __call__(self, x, state, key=None):
        for block in self.blocks:
            x = jax.nn.relu(block(x))
        x, state = self.norm(x, state)
        return self.heads["class"](self.dropout(x, key=key)), state


class Stack(eqx.Module):
    """Layers of one program, in a scan."""

    blocks: eqx.nn.Linear

    def __init__(self, key):
        make = eqx.filter_vmap(lambda key: eqx.nn.Linear(4, 4, key=key))
        self.blocks = make(jax.random.split(key, 3))

    def __call__(self, x):
        arrays, rest = eqx.partition(self.blocks, eqx.is_array)
        return jax.lax.scan(lambda x, a: (eqx.combine(a, rest)(x), None), x, arrays)[0]


@pytest.fixture(scope="module")
def net():
    return eqx.nn.make_with_state(Net)(jax.random.key(0))


@pytest.fixture(scope="module")
def mlp():
    return eqx.nn.MLP(4, 2, 4, 2, key=jax.random.key(1))


@pytest.fixture(scope="module")
def x():
    return jax.random.normal(jax.random.key(2), (SAMPLES, 4))


def assert_equal(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_output_and_activations_are_those_of_the_vmapped_model(mlp, x):
    for state in (mlp, eqx.filter(mlp, eqx.is_array)):
        output, activations = ja.tap(mlp)(state, x)
        assert_equal(output, jax.vmap(mlp)(x))
        hidden = jax.vmap(mlp.layers[0])(x)
        np.testing.assert_allclose(activations["layers.0"], hidden, rtol=1e-6)
        assert list(activations) == ["layers.0", "layers.1", "layers.2"]
    # The input of a layer is the post-activation of the one before.
    inputs = jax.eval_shape(ja.tap(mlp, "*1", at="input"), state, x)[1]
    assert {name: a.shape for name, a in inputs.items()} == {"layers.1": (SAMPLES, 4)}
    compiled = jax.jit(ja.tap(mlp, "*1", at="input"))(state, x)[1]["layers.1"]
    np.testing.assert_allclose(compiled, jax.nn.relu(hidden), rtol=1e-6)


@pytest.mark.slow
def test_states_and_keys_of_samples(net, x):
    model, state = net
    keys = jax.random.split(jax.random.key(3), SAMPLES)
    axes = {"in_axes": (0, None, 0), "out_axes": (0, None)}
    expected = jax.vmap(model, axis_name="batch", **axes)(x, state, keys)
    result, activations = ja.tap(model)(model, x, state, key=keys)
    assert_equal(result, expected)
    assert list(activations) == ["blocks.0", "blocks.1", "norm", "dropout", "heads.class"]
    assert {a.shape[0] for a in activations.values()} == {SAMPLES}
    np.testing.assert_allclose(activations["norm"].mean(axis=0), np.zeros(4), atol=1e-5)

    # The model that is passed says whether it is in inference mode, arrays alone do not.
    inference = eqx.nn.inference_mode(model)
    output, _ = ja.tap(model, "norm")(inference, x, result[1])
    np.testing.assert_array_equal(output[0], ja.tap(inference)(inference, x, result[1])[0][0])


def test_layers_of_a_scan_are_numbered(x):
    model = Stack(jax.random.key(4))
    output, activations = ja.tap(model)(model, x)
    assert {name: a.shape for name, a in activations.items()} == {
        f"blocks[{i}]": (SAMPLES, 4) for i in range(3)
    }
    np.testing.assert_array_equal(activations["blocks[2]"], output)


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ("blocks.*", ["blocks.0", "blocks.1"]),
        (eqx.nn.BatchNorm, ["norm"]),
        (lambda name, layer: isinstance(layer, eqx.nn.Linear) and "class" in name, ["heads.class"]),
    ],
)
def test_filters(net, x, layers, names):
    model, state = net
    tap = ja.tap(eqx.nn.inference_mode(model), layers)
    shapes = eqx.filter_eval_shape(tap, eqx.filter(model, eqx.is_array), x, state)
    assert list(shapes[1]) == names


def test_another_way_to_call(mlp, x):
    def call(model, x):
        return jax.vmap(lambda row: model.layers[0](row))(x)

    output, activations = ja.tap(mlp, "layers.0", call=call)(mlp, x)
    np.testing.assert_array_equal(output, activations["layers.0"])
    # A model that is vmapped already is called as it is.
    vmapped = eqx.filter_vmap(mlp)
    assert_equal(ja.tap(vmapped, "layers.0")(vmapped, x)[1], activations)


@pytest.mark.slow
def test_monitors_and_gradients(mlp, x):
    monitor = ja.monitor(ja.tap(mlp, "layers.*"), x, jnp.sign(x[:, :1]))
    arrays, rest = eqx.partition(mlp, eqx.is_array)
    assert list(monitor(arrays)) == ["input", "layers.0", "layers.1", "layers.2"]

    def loss(call, arrays):
        return jnp.sum(call(arrays) ** 2)

    tapped = jax.grad(lambda a: loss(lambda a: ja.tap(mlp)(a, x)[0], a))(arrays)
    plain = jax.grad(lambda a: loss(lambda a: jax.vmap(eqx.combine(a, rest))(x), a))(arrays)
    assert_equal(tapped, plain)


def test_what_does_not_fit_is_explained(net, mlp, x):
    model, state = net
    with pytest.raises(ValueError, match=r"jax\.random\.split\(key, samples\)"):
        ja.tap(model)(model, x, state, key=jax.random.key(0))
    with pytest.raises(TypeError, match="equinox model or its arrays, found an array"):
        ja.tap(mlp)(x, x)
    with pytest.raises(ValueError, match=r"missing are layers\.0\.weight.*not of the model are bl"):
        ja.tap(mlp)(model, x)
    with pytest.raises(ValueError, match=r"missing are layers\.0\.weight.*eqx\.is_array"):
        ja.tap(mlp)(eqx.filter(mlp, lambda leaf: False), x)
    with pytest.raises(ValueError, match=r"\['nope'\] are not layers.*layers\.0, layers\.1"):
        ja.tap(mlp, "nope")


def test_a_model_that_tells_subclasses_apart_is_refused(x):
    class Picky(eqx.Module):
        layer: eqx.nn.Linear

        def __call__(self, x):
            return self.layer(x) * (2.0 if type(self.layer) is eqx.nn.Linear else 3.0)

    model = Picky(eqx.nn.Linear(4, 4, key=jax.random.key(0)))
    with pytest.raises(ValueError, match="isinstance"):
        ja.tap(model)(model, x)
