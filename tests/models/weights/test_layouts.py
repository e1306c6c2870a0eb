"""Kernels lie in torch as the type of their layer says, compared with torch's own functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxalign.models.weights import assign


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


TRANSPOSED = [
    (rank, turned, channels)
    for rank in (1, 2, 3)
    for turned in (False, True)
    for channels in ((2, 2), (2, 3))
]


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "turned", "channels"), TRANSPOSED)
def test_transposed_convolutions_are_torch_s(rng, rank, turned, channels):
    """Also where as many channels come out as go in, so that no shape tells."""
    torch = pytest.importorskip("torch", reason="layouts are compared with torch's own functions")
    window = (3, 2, 4)[:rank]
    layer = nnx.ConvTranspose(
        *channels, window, 2, padding="VALID", transpose_kernel=turned, rngs=nnx.Rngs(0)
    )
    weight = rng.standard_normal((*channels, *window))
    bias = rng.standard_normal(channels[1])
    assign(layer, {"weight": weight, "bias": bias})
    x = rng.standard_normal((2, channels[0], *(6, 5, 4)[:rank]))
    transposed = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    wanted = transposed(*map(torch.from_numpy, (x, weight, bias)), stride=2).numpy()
    np.testing.assert_allclose(
        layer(jnp.asarray(np.moveaxis(x, 1, -1), jnp.float32)),
        np.moveaxis(wanted, 1, -1),
        atol=1e-5,
    )


class Upsampling(nnx.ConvTranspose):
    """A user's own."""


def shapes_of(layer, *arguments, **settings):
    """The layer without initial weights, which would be compiled."""
    return nnx.eval_shape(lambda: layer(*arguments, rngs=nnx.Rngs(0), use_bias=False, **settings))


@pytest.mark.parametrize(
    ("layer", "arguments", "settings", "axes", "flipped"),
    [
        (nnx.Linear, (3, 3), {}, (1, 0), ()),
        (nnx.Conv, (3, 3, 3), {}, (2, 1, 0), ()),
        (nnx.Conv, (4, 4, (3, 3)), {"feature_group_count": 2}, (2, 3, 1, 0), ()),
        (nnx.ConvTranspose, (3, 3, 3), {}, (2, 0, 1), (0,)),
        (Upsampling, (3, 3, (3, 3)), {}, (2, 3, 0, 1), (0, 1)),
        (nnx.ConvTranspose, (3, 3, (3, 3)), {"transpose_kernel": True}, (2, 3, 1, 0), ()),
    ],
)
def test_the_type_of_a_layer_says_how_its_kernel_lies(
    rng, layer, arguments, settings, axes, flipped
):
    made = shapes_of(layer, *arguments, **settings)
    shape = np.array(made.kernel.shape)
    weight = rng.standard_normal(shape[np.argsort(axes)]).astype(np.float32)
    assign(made, {"weight": weight})
    np.testing.assert_array_equal(made.kernel[...], np.flip(weight.transpose(axes), flipped))


class Own(nnx.Module):
    """A layer whose kernel could lie in any way."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.kernel = nnx.Param(jnp.ones((3, 3)))


@pytest.mark.parametrize(
    ("layer", "arguments", "message"),
    [
        (Own, (), "weight in torch is not known: the kernel belongs to a Own"),
        (nnx.LinearGeneral, (3, (2, 2)), "the kernel belongs to a LinearGeneral"),
        (nnx.Einsum, ("ab,bc->ac", (3, 3)), "the kernel belongs to a Einsum"),
    ],
)
def test_kernels_of_other_layers_are_refused(layer, arguments, message):
    made = nnx.eval_shape(lambda: layer(*arguments, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=message):
        assign(made, {"weight": np.ones(made.kernel.shape)})


def test_stacked_layers_are_refused():
    keys = jax.random.split(jax.random.key(0), 3)
    stacked = nnx.eval_shape(
        lambda: nnx.vmap(lambda key: nnx.Linear(3, 3, rngs=nnx.Rngs(key)))(keys)
    )
    with pytest.raises(ValueError, match="weight must have 2 axes in a Linear, found 3"):
        assign(stacked, {"weight": np.ones((3, 3, 3)), "bias": np.ones((3, 3))})
