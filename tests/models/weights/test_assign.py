import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from jax.sharding import SingleDeviceSharding

from jaxalign.models._depthwise import DepthwiseConv
from jaxalign.models.weights import assign


class Net(nnx.Module):
    """One layer of each kind, and a parameter of its own."""

    def __init__(self, rngs: nnx.Rngs):
        self.blocks = nnx.List([nnx.Conv(3, 4, (5, 2), rngs=rngs), DepthwiseConv(4, 3, rngs=rngs)])
        self.bn = nnx.BatchNorm(4, rngs=rngs)
        self.ln = nnx.LayerNorm(4, rngs=rngs)
        self.embed = nnx.Embed(7, 4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.fc = nnx.Linear(4, 2, rngs=rngs)
        self.cls_token = nnx.Param(jnp.zeros((1, 1, 4)))


SHAPES = {
    "blocks.0.weight": (4, 3, 5, 2),
    "blocks.0.bias": (4,),
    "blocks.1.weight": (4, 1, 3, 3),
    "bn.weight": (4,),
    "bn.bias": (4,),
    "bn.running_mean": (4,),
    "bn.running_var": (4,),
    "ln.weight": (4,),
    "ln.bias": (4,),
    "embed.weight": (7, 4),
    "fc.weight": (2, 4),
    "fc.bias": (2,),
    "cls_token": (1, 1, 4),
}


@pytest.fixture
def tensors(rng):
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}


@pytest.fixture(scope="module")
def built():
    return Net(nnx.Rngs(0))


@pytest.fixture
def net(built):
    return nnx.clone(built)


def test_names_and_layouts_are_translated_by_kind(net, tensors):
    assign(
        net,
        tensors | {"bn.num_batches_tracked": np.array(7), "embeddings.position_ids": np.arange(7)},
    )
    for found, name, axes in (
        (net.blocks[0].kernel, "blocks.0.weight", (2, 3, 1, 0)),
        (net.blocks[1].kernel, "blocks.1.weight", (2, 3, 1, 0)),
        (net.fc.kernel, "fc.weight", (1, 0)),
        (net.embed.embedding, "embed.weight", (0, 1)),
        (net.cls_token, "cls_token", (0, 1, 2)),
        (net.bn.scale, "bn.weight", (0,)),
        (net.bn.bias, "bn.bias", (0,)),
        (net.bn.mean, "bn.running_mean", (0,)),
        (net.bn.var, "bn.running_var", (0,)),
        (net.ln.scale, "ln.weight", (0,)),
    ):
        np.testing.assert_array_equal(found[...], tensors[name].transpose(axes), err_msg=name)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_numbers_that_the_model_cannot_hold_are_refused(dtype):
    model = nnx.eval_shape(lambda: nnx.Linear(2, 2, param_dtype=dtype, rngs=nnx.Rngs(0)))
    tensors = {"weight": np.eye(2), "bias": np.array([1, 1e300])}
    with pytest.raises(ValueError, match=r"tensors\['bias'\] must fit in .*float.*1.e\+300"):
        assign(model, tensors)
    tensors["bias"] = np.array([np.inf, np.nan])
    assign(model, tensors)
    assert np.asarray(model.bias[...], np.float64).tolist()[0] == np.inf
    assert np.isnan(model.bias[1])


class Counter(nnx.Module):
    """With a parameter that is not a float."""

    def __init__(self):
        self.count = nnx.BatchStat(jnp.zeros(2, jnp.int32))


def test_no_number_becomes_an_integer():
    model = Counter()
    with pytest.raises(ValueError, match="1 of another dtype: count float64 instead of int32"):
        assign(model, {"count": np.array([0.5, 1.5])})
    assign(model, {"count": np.array([3, 4], np.int32)})
    assert model.count[...].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("tensors", "error", "message"),
    [
        (None, TypeError, "tensors must be a Mapping, found None"),
        ([np.ones(2)], TypeError, "tensors must be a Mapping, found a list of 1"),
        ({3: np.ones(2)}, TypeError, "each name of tensors must be a str, found 3"),
        ({"bias": None}, TypeError, r"tensors\['bias'\] must be an array of numbers"),
        (
            {"bias": np.array(["a", "b"])},
            TypeError,
            r"tensors\['bias'\] must be an array of numbers",
        ),
        ({"bias": np.ones(2, complex)}, TypeError, r"tensors\['bias'\] must be real"),
        ({"bias": np.ma.array([1.0, 2.0], mask=[0, 1])}, ValueError, "1 masked values"),
        ({"bias": [[1.0], [1.0, 2.0]]}, ValueError, "must be rectangular"),
    ],
)
def test_what_is_no_tensor_is_refused(built, tensors, error, message):
    with pytest.raises(error, match=message):
        assign(built, tensors)


@pytest.mark.parametrize(
    "rename", [[("(", "")], [("a", r"\9")], [("a",)], ["abc"], [(None, "a")], [3]]
)
def test_what_is_no_renaming_is_refused(built, rename):
    with pytest.raises(ValueError, match="rename must be pairs of a regular expression and a repl"):
        assign(built, {"a": np.ones(2)}, rename=rename)


def test_dtype_and_device_stay_the_model_s(rng):
    model = nnx.Linear(2, 3, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    device = jax.devices()[1]
    nnx.update(model, jax.device_put(nnx.state(model), device))
    assign(model, {"weight": rng.standard_normal((3, 2)), "bias": np.ones(3, ml_dtypes.bfloat16)})
    assert model.kernel[...].dtype == jnp.bfloat16
    assert model.kernel[...].sharding == SingleDeviceSharding(device)


def test_the_model_keeps_no_memory_of_the_caller(net, tensors):
    assign(net, tensors)
    tensors["cls_token"][:] = 9
    assert not (net.cls_token[...] == 9).any()


def test_a_model_that_was_never_initialized_is_filled(tensors):
    shapes = nnx.eval_shape(lambda: Net(nnx.Rngs(0)))
    assign(shapes, tensors)
    np.testing.assert_array_equal(shapes.fc.kernel[...], tensors["fc.weight"].T)


def test_rename_is_applied_in_order(net, tensors):
    foreign = {
        f"net.{name.replace('blocks', 'layers')}": tensor for name, tensor in tensors.items()
    }
    assign(net, foreign, rename=[("^net\\.", ""), (r"^layers\.(\d)", r"blocks.\1")])
    np.testing.assert_array_equal(net.blocks[0].bias[...], tensors["blocks.0.bias"])


def test_two_tensors_of_one_name_are_refused(net, tensors):
    with pytest.raises(
        ValueError, match=r"the tensors 'fc.bias' and 'head.bias' the same name 'fc.bias'"
    ):
        assign(net, tensors | {"head.bias": np.ones(2)}, rename=[("^head", "fc")])


def test_all_that_differs_is_named_and_nothing_changes(net, tensors):
    before = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(net, nnx.Param)))
    del tensors["fc.bias"]
    tensors["head.bias"] = np.ones(2)
    tensors["fc.weight"] = tensors["fc.weight"].T
    tensors["ln.bias"] = np.ones(4, np.int8)
    with pytest.raises(ValueError, match="nothing was assigned") as caught:
        assign(net, tensors)
    for line in (
        "1 missing: fc.bias (2,)",
        "1 unused: head.bias (2,)",
        "1 of another shape: fc.weight (4, 2) instead of (2, 4)",
        "1 of another dtype: ln.bias int8 instead of float32",
    ):
        assert f"\n  {line}\n" in str(caught.value)
    jax.tree.map(np.testing.assert_array_equal, before, nnx.to_pure_dict(nnx.state(net, nnx.Param)))


def test_of_many_names_the_first_ten_are_shown(net, tensors):
    with pytest.raises(ValueError, match="13 missing") as caught:
        assign(net, {f"other.{i}": np.ones(i + 1) for i in range(11)})
    missing, unused = str(caught.value).splitlines()[1:3]
    assert (missing.count(" ("), unused.count(" (")) == (10, 10)
    assert missing.endswith("; ...")
    assert "other.10" not in unused


def test_only_nnx_models_are_filled(tensors):
    with pytest.raises(TypeError, match=r"must be a flax\.nnx module, found a dict"):
        assign({}, tensors)
