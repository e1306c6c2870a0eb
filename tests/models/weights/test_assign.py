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


@pytest.mark.parametrize(("convolution", "rank"), [("conv1d", 1), ("conv2d", 2), ("conv3d", 3)])
def test_convolutions_of_every_rank_are_torch_s(rng, convolution, rank):
    torch = pytest.importorskip(
        "torch", reason="torch is not installed: layouts are compared with its own functions"
    )
    layer = nnx.Conv(2, 3, (3, 2, 4)[:rank], padding="VALID", rngs=nnx.Rngs(0))
    weight, bias = rng.standard_normal((3, 2, *(3, 2, 4)[:rank])), rng.standard_normal(3)
    assign(layer, {"weight": weight, "bias": bias})
    x = rng.standard_normal((1, 2, *(6, 5, 4)[:rank]))
    wanted = getattr(torch.nn.functional, convolution)(
        *map(torch.from_numpy, (x, weight, bias))
    ).numpy()
    np.testing.assert_allclose(
        layer(jnp.asarray(np.moveaxis(x, 1, -1), jnp.float32)),
        np.moveaxis(wanted, 1, -1),
        atol=1e-5,
    )


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
        "1 not floating point: ln.bias int8",
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
    with pytest.raises(TypeError, match=r"must be a flax\.nnx module, found dict"):
        assign({}, tensors)
