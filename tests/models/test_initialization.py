import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxalign.models import CNN, MLP, Initialization, lecun_normal, torch_uniform

KEY = jax.random.key(0)
SHAPES = [(400, 30), (3, 3, 40, 30)]


def fan_in(shape):
    return math.prod(shape[:-1])


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_standard_deviations_are_those_of_the_fan_in(shape, scale):
    expected = scale / math.sqrt(fan_in(shape))
    normal = lecun_normal(scale).kernel(KEY, shape, jnp.float32)
    uniform = torch_uniform(scale).kernel(KEY, shape, jnp.float32)
    np.testing.assert_allclose(np.std(normal), expected, rtol=0.02)
    np.testing.assert_allclose(np.std(uniform), expected / math.sqrt(3), rtol=0.02)
    assert 0.99 * expected < np.abs(uniform).max() <= expected * (1 + 1e-6)


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_biases_have_the_bound_of_the_weights_or_are_zero(scale):
    biases = torch_uniform(scale).bias(400)(KEY, (500,), jnp.float32)
    assert 0.98 * scale / 20 < np.abs(biases).max() <= scale / 20 * (1 + 1e-6)
    assert not lecun_normal(scale).bias(400)(KEY, (500,), jnp.float32).any()


def test_a_scale_multiplies_the_same_draw():
    for initialization in (lecun_normal, torch_uniform):
        one, half = (initialization(s).kernel(KEY, (9, 5), jnp.float32) for s in (1.0, 0.5))
        np.testing.assert_allclose(half, one / 2, rtol=1e-6)


@pytest.mark.parametrize("initialization", [lecun_normal, torch_uniform])
def test_scales_can_be_traced(initialization):
    def draw(scale):
        start = initialization(scale)
        return start.kernel(KEY, (9, 5), jnp.float32), start.bias(9)(KEY, (5,), jnp.float32)

    traced = jax.vmap(draw)(jnp.array([1.0, 0.5]))
    for i, scale in enumerate((1.0, 0.5)):
        for together, alone in zip(traced, draw(scale), strict=True):
            np.testing.assert_allclose(together[i], alone, rtol=1e-5, atol=1e-7)


def networks(initialization):
    yield MLP(50, (40, 30), 20, bias=True, initialization=initialization, rngs=nnx.Rngs(0))
    yield CNN((4, 4, 3), (8,), 30, 20, initialization=initialization, rngs=nnx.Rngs(0))


def test_every_layer_of_a_network_is_drawn_from_its_own_fan_in():
    for network in networks(torch_uniform(2.0)):
        layers = [
            layer
            for _, layer in nnx.iter_modules(network)
            if isinstance(layer, nnx.Linear | nnx.Conv)
        ]
        assert len(layers) == 3
        for layer in layers:
            bound = 2.0 / math.sqrt(fan_in(layer.kernel.shape))
            for values in (layer.kernel[...], layer.bias[...]):
                assert 0.7 * bound < np.abs(values).max() <= bound * (1 + 1e-6)


def test_without_an_argument_the_weights_are_those_of_flax():
    model = MLP(5, (4,), 2, rngs=nnx.Rngs(0))
    linear = nnx.Linear(5, 4, use_bias=False, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(model.hidden_1.kernel[...], linear.kernel[...])


@pytest.mark.parametrize(
    "wrong", [nnx.initializers.he_normal(), "torch", None, torch_uniform, ("he", "zeros")]
)
def test_what_is_no_initialization_is_refused_by_name(wrong):
    for network in (MLP, CNN):
        sizes = (5, (4,), 2) if network is MLP else ((4, 4, 1), (2,), 3, 2)
        with pytest.raises(TypeError, match=r"initialization must be .* torch_uniform\(\)"):
            network(*sizes, initialization=wrong, rngs=nnx.Rngs(0))


def test_an_initialization_of_something_else_than_functions_is_refused():
    with pytest.raises(TypeError, match=r"initialization\.kernel must be a function, found 'he'"):
        MLP(5, (4,), 2, initialization=Initialization("he"), rngs=nnx.Rngs(0))
    other = Initialization(nnx.initializers.he_normal(), 0.0)
    with pytest.raises(TypeError, match=r"initialization\.bias must be a function, found 0\.0"):
        MLP(5, (4,), 2, initialization=other, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("initialization", [lecun_normal, torch_uniform])
@pytest.mark.parametrize("scale", [0, -1.0, math.inf, math.nan, "1", True, None])
def test_a_scale_is_a_number_above_zero(initialization, scale):
    with pytest.raises((TypeError, ValueError), match="scale must be"):
        initialization(scale)


@pytest.mark.slow
def test_the_weights_are_those_of_torch_in_distribution():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layer = torch.nn.Linear(300, 2000)
    ours = torch_uniform().kernel(KEY, (300, 2000), jnp.float32)
    quantiles = np.linspace(0.01, 0.99, 9)
    theirs = np.quantile(layer.weight.detach().numpy(), quantiles)
    np.testing.assert_allclose(np.quantile(ours, quantiles), theirs, atol=3e-4)
    np.testing.assert_allclose(
        np.abs(layer.bias.detach().numpy()).max(),
        np.abs(torch_uniform().bias(300)(KEY, (2000,), jnp.float32)).max(),
        rtol=0.01,
    )
