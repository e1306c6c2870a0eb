"""tap of flax.linen modules: names, order, and every lifted transformation a model may use."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja


class Block(nn.Module):
    width: int = 4

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(self.width)(x))
        return nn.relu(nn.Dropout(0.5, deterministic=not train)(x))


class Net(nn.Module):
    """``shared`` runs twice; blocks run in the opposite order of their names."""

    depth: int = 12

    @nn.compact
    def __call__(self, x, train=False):
        shared = nn.Dense(4, name="shared")
        for i in range(self.depth - 1, -1, -1):
            x = Block(name=f"block_{i}")(x, train)
        x = nn.relu(shared(shared(x)))
        return nn.Dense(1, name="head")(x)


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.standard_normal((6, 4)), jnp.float32)


def started(model, x, *args):
    return model, model.init(jax.random.key(0), x, *args)


@pytest.fixture(scope="module")
def net():
    """The model, and its initial variables."""
    return started(Net(), jnp.ones((6, 4)))


@pytest.mark.slow
def test_names_come_in_the_order_layers_run_also_through_jit(net, x):
    model, variables = net
    parts = (".Dense_0", ".BatchNorm_0", ".Dropout_0", "")
    expected = [f"block_{i}{part}" for i in range(11, -1, -1) for part in parts] + [
        "shared",
        "shared#2",
        "head",
    ]
    tap = ja.tap(model)
    for way in (tap, jax.jit(tap)):
        output, activations = way(variables, x)
        assert list(activations) == expected
        np.testing.assert_allclose(output, model.apply(variables, x), rtol=1e-6)
    _, inputs = ja.tap(model, "head", at="input")(variables, x)
    np.testing.assert_allclose(inputs["head"], nn.relu(activations["shared#2"]), rtol=1e-6)


@pytest.mark.slow
def test_training_mode_takes_what_apply_takes_and_drops_the_updates(net, x):
    model, variables = net
    before = jax.tree.map(jnp.copy, variables)
    tap = ja.tap(model, "block_10")
    _, activations = tap(variables, x, train=True, rngs={"dropout": jax.random.key(1)})
    assert float((activations["block_10"] == 0).mean()) > 0.4
    jax.tree.map(np.testing.assert_array_equal, before, variables)
    gradient = jax.jit(jax.grad(lambda v: (tap(v, x)[1]["block_10"] ** 2).sum()))(variables)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("head", ["head"]),
        (["block_1", "sh*"], ["block_1", "shared", "shared#2"]),
        (nn.BatchNorm, [f"block_{i}.BatchNorm_0" for i in range(11, -1, -1)]),
        (lambda name, layer: isinstance(layer, nn.Dense) and layer.features == 1, ["head"]),
    ],
)
def test_filters(net, x, layers, expected):
    model, variables = net
    assert list(ja.tap(model, layers)(variables, x)[1]) == expected


@pytest.mark.parametrize("layers", ["conv*", nn.Conv])
def test_a_layer_that_is_not_there_raises_with_the_names_there_are(net, x, layers):
    model, variables = net
    with pytest.raises(
        ValueError, match=r"(conv\*|Conv).*were asked for and .*never computed.*shared, head"
    ):
        ja.tap(model, ["head", layers])(variables, x)


def scanned(axes):
    class Layer(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return nn.tanh(nn.Dense(4)(x)), None

    class Scanned(nn.Module):
        @nn.compact
        def __call__(self, x):
            layers = nn.scan(
                Layer, variable_axes={"params": 0, **axes}, split_rngs={"params": True}, length=3
            )
            return nn.Dense(1)(layers(name="stack")(x, None)[0])

    return Scanned()


@pytest.mark.parametrize("axes", [{}, {"intermediates": 0}])
def test_the_layers_of_a_scan_are_numbered_whatever_it_lets_out(x, axes):
    model, variables = started(scanned(axes), x)
    _, activations = jax.jit(ja.tap(model))(variables, x)
    layers = [f"stack.Dense_0[{i}]" for i in range(3)]
    assert list(activations) == [*layers, "Dense_0"]
    hidden = x
    for i, name in enumerate(layers):
        stack = variables["params"]["stack"]["Dense_0"]
        expected = hidden @ stack["kernel"][i] + stack["bias"][i]
        np.testing.assert_allclose(activations[name], expected, rtol=1e-4, atol=1e-5)
        hidden = nn.tanh(expected)
    assert list(ja.tap(model, "Dense_0")(variables, x)[1]) == ["Dense_0"]


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [nn.WeightNorm, nn.SpectralNorm])
def test_a_layer_inside_a_wrapper_of_its_weights(x, wrap):
    class Wrapped(nn.Module):
        @nn.compact
        def __call__(self, x):
            layer = wrap(nn.Dense(3, name="layer"))
            if wrap is nn.WeightNorm:
                return layer(x)
            return layer(x, update_stats=False)

    model, variables = started(Wrapped(), x)
    output, activations = ja.tap(model)(variables, x)
    np.testing.assert_allclose(output, model.apply(variables, x), rtol=1e-6)
    np.testing.assert_allclose(activations["layer"], output, rtol=1e-6)


def test_two_taps_of_a_jitted_layer_do_not_share_their_programs(x):
    class Lifted(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.jit(Block)(name="second")(nn.jit(Block)(name="first")(x))

    model, variables = started(Lifted(), x)
    model.apply(variables, x)
    outputs = ja.tap(model, nn.Dense)(variables, x)[1]
    inputs = ja.tap(model, nn.Dense, at="input")(variables, x)[1]
    assert list(inputs) == list(outputs) == ["first.Dense_0", "second.Dense_0"]
    np.testing.assert_array_equal(inputs["first.Dense_0"], x)


def test_what_is_sown_under_a_plain_transformation_is_left_alone(x):
    class Sowing(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.sow("intermediates", "own", x)
            return nn.Dense(3, name="dense")(x)

    class Mapped(nn.Module):
        @nn.compact
        def __call__(self, x):
            layer = Sowing(name="layer")
            if self.is_initializing():
                return layer(x)
            return jax.vmap(lambda row: layer(row))(x)

    model, variables = started(Mapped(), x)
    output, activations = ja.tap(model)(variables, x)
    assert activations["layer.dense"].shape == output.shape == (6, 3)


@pytest.mark.parametrize("lift", [nn.remat, nn.jit])
def test_remat_and_jit_inside(x, lift):
    class Lifted(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(1, name="head")(lift(Block)(name="block")(x))

    model, variables = started(Lifted(), x)
    expected = ["block.Dense_0", "block.BatchNorm_0", "block.Dropout_0", "block", "head"]
    for _ in range(2):  # the second time nn.jit has traced it already
        assert set(ja.tap(model)(variables, x)[1]) == set(expected)
    gradient = jax.jit(jax.grad(lambda v: (ja.tap(model, "block")(v, x)[1]["block"] ** 2).sum()))(
        variables
    )
    assert float(jnp.abs(gradient["params"]["block"]["Dense_0"]["kernel"]).sum()) > 0


def test_vmap_over_seeds(x):
    model = Net(depth=1)
    keys = jax.random.split(jax.random.key(0), 3)
    stacked = jax.jit(jax.vmap(lambda key: model.init(key, x)))(keys)
    _, together = jax.jit(jax.vmap(ja.tap(model, "shared"), (0, None)))(stacked, x)
    alone = ja.tap(model, "shared")(jax.tree.map(lambda leaf: leaf[1], stacked), x)[1]
    np.testing.assert_allclose(together["shared"][1], alone["shared"], rtol=1e-5)


def test_an_unused_capture_costs_nothing(net, x):
    model, variables = net

    def program(function):
        text = jax.jit(function).lower(variables, x).compile().as_text()
        return [line.split("metadata")[0] for line in text.splitlines() if " = " in line]

    assert len(program(lambda v, x: ja.tap(model)(v, x)[0])) == len(program(model.apply))


def test_what_the_model_sows_itself_is_left_alone(x):
    class Sowing(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.sow("intermediates", "own", x)
            return nn.Dense(1)(x)

    model = Sowing()
    variables = model.init(jax.random.key(0), x)
    variables |= model.apply(variables, x, mutable="intermediates")[1]  # kept from an earlier pass
    assert list(ja.tap(model)(variables, x)[1]) == ["Dense_0"]
