from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign._core.memory import readable
from jaxalign.inspection import LayerPlan, plan
from jaxalign.inspection._plan import require_memory


class Pair(nnx.Module):
    """A map, tokens, a vector; and layers that are nothing to measure: a pair of arrays, integers,
    one number.
    """

    def __init__(self):
        self.conv = nnx.Conv(1, 4, (3, 3), rngs=nnx.Rngs(0))
        self.tokens = Call(lambda x: x.reshape(len(x), -1, 4))
        self.both = Call(lambda x: (x, x))
        self.winner = Call(lambda x: x.argmax(axis=-1))
        self.loss = Call(jnp.mean)
        self.linear = nnx.Linear(4, 2, rngs=nnx.Rngs(1))

    def __call__(self, x):
        x = self.tokens(self.conv(x))
        self.both(x)
        self.winner(x)
        self.loss(x)
        return self.linear(x.mean(axis=1))


class Call(nnx.Module):
    def __init__(self, function):
        self.function = function

    def __call__(self, x):
        return self.function(x)


@pytest.fixture(scope="module")
def model():
    return Pair()


def planned(model, **options):
    return plan(
        ja.tap(model), nnx.state(model), jax.ShapeDtypeStruct((5, 6, 6, 1), np.float32), **options
    )


def test_shapes_widths_and_positions_are_those_of_prepare(model):
    inputs = np.random.default_rng(0).standard_normal((5, 6, 6, 1)).astype(np.float32)
    _, activations = jax.jit(ja.tap(model))(nnx.state(model), inputs)
    for way in ("mean", "flatten", "samples", "cls"):
        for name, layer in planned(model, reduce=way).layers.items():
            value = inputs if name == "input" else activations[name]
            prepare = partial(ja.prepare, reduce="flatten" if name == "input" else way)
            phi = jax.eval_shape(prepare, value)
            assert (layer.positions * 5, layer.width) == phi.shape
            assert (layer.shape, layer.dtype) == (value.shape[1:], "float32")


def test_what_makes_no_matrix_is_left_out_with_the_reason(model):
    found = planned(model)
    assert list(found.layers) == ["input", "conv", "tokens", "linear"]
    assert found.left_out["winner"].startswith("int32")
    assert "not (n, ...)" in found.left_out["loss"]
    with pytest.raises(ValueError, match=r"no layer of the model can be measured .*winner: int32"):
        plan(ja.tap(model, "winner"), nnx.state(model), jnp.ones((5, 6, 6, 1)))


def test_patterns_choose_by_layer_and_leave_the_inputs_alone(model):
    ways = {
        name: layer.reduce
        for name, layer in planned(model, reduce={"conv": "flatten", "*": "samples"}).layers.items()
    }
    assert ways == {"input": "flatten", "conv": "flatten", "tokens": "samples", "linear": "samples"}
    assert planned(model, reduce={"input": "mean"}).layers["input"].width == 2


def test_wide_inputs_are_no_layer(model):
    found = plan(ja.tap(model), nnx.state(model), jax.ShapeDtypeStruct((2, 80, 80, 1), np.float32))
    assert "6,400 values" in found.left_out["input"]


@pytest.mark.parametrize(
    ("reduce", "message"),
    [
        ("sum", "reduce must be one of 'flatten', 'mean', 'samples', 'cls'"),
        ({"conv": "sum"}, "found 'sum'"),
        (
            {"conv9": "mean"},
            r"patterns \['conv9'\] that fit no layer; the layers there are: input, conv",
        ),
        # The inputs are no layer that a pattern finds.
        ({"in*": "mean"}, r"patterns \['in\*'\] that fit no layer"),
    ],
)
def test_bad_reductions(model, reduce, message):
    with pytest.raises(ValueError, match=message):
        planned(model, reduce=reduce)


@pytest.mark.parametrize(
    "inputs", [(), (jnp.ones((2, 3)), jnp.ones((3, 3))), jnp.ones((0, 3)), jnp.float32(1)]
)
def test_bad_inputs(model, inputs):
    with pytest.raises(ValueError, match=r"arrays .n, .... of the same n"):
        plan(ja.tap(model), nnx.state(model), inputs)


def test_memory_is_that_of_moments():
    layer = LayerPlan((4,), "float32", "mean", 1, 5)
    assert layer.memory(3) == ja.moments(np.ones((2, 5)), np.ones((2, 3))).products.nbytes


def test_the_memory_error_names_the_largest_layer_and_ways_out():
    layers = {
        "small": LayerPlan((4,), "float32", "mean", 1, 5),
        "wide": LayerPlan((9, 9, 4), "float32", "flatten", 1, 325),
    }
    need = sum(layer.memory(1) for layer in layers.values())
    require_memory(layers, 1, 1, need)
    with pytest.raises(
        ValueError, match=rf"wide, of d = 325.*'mean'.* for d = 5.*memory_limit of {need} bytes"
    ):
        require_memory(layers, 1, 1, need - 1)
    with pytest.raises(ValueError, match=f"memory_limit of {3 * need} bytes"):
        require_memory(layers, 1, 3, need)


def test_bytes_for_people():
    assert [readable(x) for x in (8, 2048, 3 * 2**29, 2**41)] == [
        "8 B",
        "2 KiB",
        "1.5 GiB",
        "2 TiB",
    ]
