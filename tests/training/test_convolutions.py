"""Convolutions in the order of the CPU's kernel: the same values, whatever they are and wherever
they stand.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax import lax

import jaxalign as ja
from jaxalign.capture._networks import split_model
from jaxalign.models import CNN
from jaxalign.monitoring import of_features
from jaxalign.training import classification, fast_convolutions
from jaxalign.training._chunk import of_one, of_several
from jaxalign.training._state import Data, PerModel, Recipe

CASES = {
    "images": ((2, 9, 8, 3), (3, 2, 3, 4), ("NHWC", "HWIO", "NHWC"), {}),
    "strided": ((2, 9, 8, 3), (3, 3, 3, 4), ("NHWC", "HWIO", "NHWC"), {"window_strides": (2, 3)}),
    "dilated": (
        (2, 9, 8, 3),
        (3, 2, 3, 4),
        ("NHWC", "HWIO", "NHWC"),
        {"rhs_dilation": (2, 1), "padding": "VALID"},
    ),
    "transposed": (
        (2, 5, 5, 3),
        (3, 3, 3, 4),
        ("NHWC", "HWIO", "NHWC"),
        {"lhs_dilation": (2, 2), "padding": ((1, 2), (2, 1))},
    ),
    "channels first": ((2, 3, 9, 8), (4, 3, 3, 2), ("NCHW", "OIHW", "NCHW"), {}),
    "mixed": ((3, 2, 8, 9), (3, 2, 3, 4), ("CNWH", "HWIO", "NHWC"), {}),
    "a line": ((2, 9, 3), (3, 3, 4), ("NWC", "WIO", "NWC"), {}),
    "a volume": ((2, 5, 4, 6, 3), (2, 3, 3, 3, 4), ("NDHWC", "DHWIO", "NDHWC"), {}),
    "grouped": ((2, 9, 8, 4), (3, 2, 2, 6), ("NHWC", "HWIO", "NHWC"), {"feature_group_count": 2}),
}


FEW = {"mixed"}
"""The kind that runs always; the others are slow."""


@pytest.fixture(
    params=[pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in CASES]
)
def case(request, rng):
    images, kernel, numbers, settings = CASES[request.param]
    strides = (1,) * (len(images) - 2)
    settings = {
        "window_strides": strides,
        "padding": "SAME",
        "dimension_numbers": numbers,
        "precision": "highest",
    } | settings

    def convolution(x, k):
        return lax.conv_general_dilated(x, k, **settings)

    return convolution, *(
        jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in (images, kernel)
    )


def differentiated(convolution):
    return lambda x, k: (
        convolution(x, k),
        *jax.grad(lambda x, k: jnp.tanh(convolution(x, k)).sum(), (0, 1))(x, k),
    )


def same(found, expected):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_values_and_gradients_eagerly_and_jitted(case, x64):
    convolution, x, k = case
    function = differentiated(convolution)
    expected = function(x, k)
    same(fast_convolutions(function)(x, k), expected)
    same(jax.jit(fast_convolutions(function))(x, k), expected)


@pytest.mark.parametrize(
    "axes",
    [(0, 0), *(pytest.param(axes, marks=pytest.mark.slow) for axes in [(None, 0), (0, None)])],
)
def test_batches_of_images_kernels_or_both(case, axes):
    convolution, x, k = case
    function = differentiated(convolution)

    def stack(a, axis):
        return a if axis is None else jnp.stack([a, -2 * a, a + 1])

    arguments = stack(x, axes[0]), stack(k, axes[1])
    expected = [
        function(*(a if axis is None else a[i] for a, axis in zip(arguments, axes, strict=True)))
        for i in range(3)
    ]
    found = jax.jit(jax.vmap(fast_convolutions(function), axes))(*arguments)
    same(found, jax.tree.map(lambda *leaves: jnp.stack(leaves), *expected))


def test_inside_jit_remat_and_scan_and_named_arguments(case):
    convolution, x, k = case

    def network(x, *, kernels):
        layer = jax.checkpoint(jax.jit(lambda k: jnp.tanh(convolution(x, k))))
        return lax.scan(lambda total, k: (total + layer(k).sum(), layer(k)), 0.0, kernels)

    kernels = jnp.stack([k, -k])

    def function(x, *, kernels):
        return (
            network(x, kernels=kernels),
            jax.grad(lambda k: network(x, kernels=k)[0])(kernels),
        )

    same(jax.jit(fast_convolutions(function))(x, kernels=kernels), function(x, kernels=kernels))


def test_what_a_function_returns_of_its_own_is_an_array(rng):
    x = jnp.asarray(rng.standard_normal(3), jnp.float32)
    returned = jax.jit(lambda x: [y[None] for y in fast_convolutions(lambda x: (x, 0.1, 3))(x)])(x)
    np.testing.assert_allclose(returned[1], [0.1])
    assert [y.dtype for y in returned] == [np.float32, np.float32, np.int32]


def test_what_holds_no_convolution_is_the_same_program(rng):
    a = jnp.asarray(rng.standard_normal((7, 5)), jnp.float32)

    def function(a):
        return {"area": ja.alignment_area(ja.spectrum(a, a[:, :1])), "sum": a.sum()}

    plain, evaluated = (
        jax.jit(f).lower(a).as_text() for f in (function, fast_convolutions(function))
    )

    def count(text):
        return sorted(re.findall(r"stablehlo\.\w+", text))

    assert count(plain) == count(evaluated)


@pytest.mark.slow
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="about the kernel of XLA's CPU backend")
@pytest.mark.parametrize("several", [pytest.param(False, marks=pytest.mark.slow), True])
def test_every_convolution_of_a_chunk_is_in_the_order_of_the_kernel(rng, several):
    images = jnp.asarray(rng.standard_normal((16, 8, 8, 1)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 2, 16))
    models = [CNN((8, 8, 1), (4, 6), 5, 1, rngs=nnx.Rngs(seed)) for seed in range(3)]
    monitor = ja.monitor(
        ja.tap(models[0], models[0].post_activations),
        images,
        ja.encode_targets(labels),
        measures={"mean": of_features(jnp.mean)},
    )
    recipe = Recipe(split_model(models[0], None).network, optax.adam(1e-3), classification)
    states = [recipe.start(nnx.state(model)) for model in models]
    run = of_one(recipe)
    state = states[0]
    own = PerModel(None, {})
    if several:
        own = PerModel(None, {}, jnp.zeros(len(models), jnp.uint32))
        run = of_several(recipe, same_batches=True, hyperparameters=False)
        state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    data = Data({"only": monitor}, images, labels, 9)
    lowered = jax.jit(run).lower(state, jnp.zeros((2, 1, 8), int), own, data)
    text = lowered.compile().as_text()
    convolutions = re.findall(r" convolution\(.*", text)
    assert convolutions
    assert all(
        "dim_labels=b01f_01io->b01f" in one and "group_count" not in one for one in convolutions
    )


@pytest.fixture
def train(rng):
    """``train(model, **settings)``: the losses of a CNN's first steps."""
    images = rng.standard_normal((32, 8, 8, 1)).astype(np.float32)
    labels = rng.integers(0, 2, 32)

    def losses(model, **settings):
        settings = {"steps": 5, "batch_size": 8} | settings
        return ja.fit(model, optax.adam(1e-2), images, labels, **settings)[1].loss

    return losses


def small_cnn(seed):
    return CNN((8, 8, 1), (4, 6), 5, 1, rngs=nnx.Rngs(seed))


@pytest.mark.slow
def test_one_model_or_several_train_alike(train):
    alone = [train(small_cnn(seed), seed=seed) for seed in range(2)]
    several = train([small_cnn(0), small_cnn(1)], seed=range(2))
    np.testing.assert_allclose(several.T, alone, rtol=1e-4)


@pytest.mark.slow
def test_one_device_or_a_mesh_train_alike(train):
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    np.testing.assert_allclose(train(small_cnn(0), mesh=mesh), train(small_cnn(0)), rtol=1e-4)
