"""What all image models have in common: published sizes, post-activations in order, train and eval
mode, transforms.
"""

import math
from functools import partial
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.models import (
    CNN,
    VGG,
    EfficientNetLite,
    ResNet,
    SqueezeNet,
    _efficientnet_lite,
    efficientnet_lite,
    resnet18,
    resnet34,
    resnet50,
    vgg11,
    vgg16,
)
from jaxalign.models._efficientnet_lite import STAGES, Block, Scaling
from jaxalign.models._resnet import BasicBlock, Bottleneck
from jaxalign.models._vgg import AdaptiveAveragePool


def sweep(names, *fast):
    """All names, those that are not ``fast`` marked slow."""
    return [pytest.param(name, marks=() if name in fast else pytest.mark.slow) for name in names]


PUBLISHED = {
    "resnet18": (resnet18, 11_689_512),
    "resnet34": (resnet34, 21_797_672),
    "resnet50": (resnet50, 25_557_032),
    "vgg11": (vgg11, 132_863_336),
    "vgg11_bn": (partial(vgg11, batch_norm=True), 132_868_840),
    "vgg16": (vgg16, 138_357_544),
    "vgg16_bn": (partial(vgg16, batch_norm=True), 138_365_992),
    "squeezenet1_1": (SqueezeNet, 1_235_496),
    "efficientnet_lite0": (partial(efficientnet_lite, 0), 4_652_008),
    "efficientnet_lite1": (partial(efficientnet_lite, 1), 5_416_680),
    "efficientnet_lite2": (partial(efficientnet_lite, 2), 6_092_072),
    "efficientnet_lite3": (partial(efficientnet_lite, 3), 8_197_096),
    "efficientnet_lite4": (partial(efficientnet_lite, 4), 13_006_568),
}


@pytest.mark.parametrize("name", sweep(PUBLISHED, "resnet18", "vgg11_bn", "squeezenet1_1"))
def test_number_of_parameters_is_the_published_one(name):
    build, published = PUBLISHED[name]
    shapes = nnx.state(nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0))), nnx.Param)
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)) == published


def small_efficientnet_lite(*, rngs):
    """Four blocks, of both kernels, with and without expansion, stride and shortcut."""
    with mock.patch.object(_efficientnet_lite, "STAGES", STAGES[:3]):
        return EfficientNetLite(Scaling(0.5, 0.5, 24, 0.2), 5, rngs=rngs)


SMALL = {
    "cnn": partial(CNN, (24, 24, 3), (4, 8), 16, 5),
    "resnet": partial(ResNet, BasicBlock, (2, 1, 1, 1), 5, stem="cifar", width=4),
    "resnet bottleneck": partial(ResNet, Bottleneck, (1, 1, 1, 1), 5, width=4),
    "vgg": partial(VGG, ((4,), (6, 6)), 5, hidden=8),
    "vgg bn": partial(VGG, ((4,), (6, 6)), 5, batch_norm=True, hidden=8),
    "squeezenet": partial(SqueezeNet, 5),
    "efficientnet_lite": small_efficientnet_lite,
}


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).standard_normal((4, 24, 24, 3)), jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", sweep(SMALL, "vgg bn"))
def test_jit_grad_and_vmap_over_batches(random_model, name, images):
    model = random_model(SMALL[name])
    model.eval()
    tap, state = ja.tap(model, model.post_activations), nnx.state(model)
    weights, rest = nnx.split_state(state, nnx.Param, ...)

    def loss(weights, images):
        output, activations = tap(nnx.merge_state(weights, rest), images)
        return (output**2).sum(), (output, activations)

    output, activations = jax.jit(tap)(state, images)
    gradient_of = jax.jit(jax.vmap(jax.grad(loss, has_aux=True), (None, 0)))
    gradient, (outputs, parts) = gradient_of(weights, images.reshape(2, 2, *images.shape[1:]))
    assert output.shape == (4, 5)
    np.testing.assert_allclose(outputs.reshape(output.shape), output, rtol=1e-4, atol=1e-4)
    for layer, a in activations.items():
        assert np.asarray(a).std() > 0
        part = np.asarray(parts[layer]).reshape(a.shape)
        np.testing.assert_allclose(part, a, rtol=1e-4, atol=1e-4)
    for leaf in map(np.asarray, jax.tree.leaves(gradient)):
        assert np.isfinite(leaf).all()
        assert np.abs(leaf).max() > 0


EXPECTED = {
    "cnn": {"conv_1": (24, 24, 4), "conv_2": (12, 12, 8), "hidden": (16,)},
    "resnet": {
        "relu": (24, 24, 4),
        "layer1.0": (24, 24, 4),
        "layer1.1": (24, 24, 4),
        "layer2.0": (12, 12, 8),
        "layer3.0": (6, 6, 16),
        "layer4.0": (3, 3, 32),
    },
    "resnet bottleneck": {
        "relu": (12, 12, 4),
        "layer1.0": (6, 6, 16),
        "layer2.0": (3, 3, 32),
        "layer3.0": (2, 2, 64),
        "layer4.0": (1, 1, 128),
    },
    "vgg": {"features.1": (24, 24, 4), "features.4": (12, 12, 6), "features.6": (12, 12, 6)},
    "vgg bn": {"features.2": (24, 24, 4), "features.6": (12, 12, 6), "features.9": (12, 12, 6)},
    "squeezenet": {
        "features.1": (11, 11, 64),
        **{f"features.{i}": (5, 5, 128) for i in (3, 4)},
        **{f"features.{i}": (2, 2, 256) for i in (6, 7)},
        **{f"features.{i}": (1, 1, c) for i, c in ((9, 384), (10, 384), (11, 512), (12, 512))},
    },
    "efficientnet_lite": {
        "stem_relu6": (12, 12, 32),
        "_blocks.0": (12, 12, 8),
        "_blocks.1": (6, 6, 16),
        "_blocks.2": (3, 3, 24),
        "_blocks.3": (3, 3, 24),
        "head_relu6": (3, 3, 1280),
    },
}
for name in ("vgg", "vgg bn"):
    EXPECTED[name] |= {"classifier.1": (8,), "classifier.4": (8,)}


@pytest.mark.parametrize(
    "name", sweep(SMALL, "cnn", "resnet", "resnet bottleneck", "vgg", "vgg bn")
)
def test_post_activations_come_in_order_with_their_shapes(name):
    def shapes(images):
        model = SMALL[name](rngs=nnx.Rngs(0))
        return ja.tap(model, model.post_activations)(nnx.state(model), images)[1]

    found = jax.eval_shape(shapes, jax.ShapeDtypeStruct((4, 24, 24, 3), jnp.float32))
    assert [(layer, a.shape[1:]) for layer, a in found.items()] == list(EXPECTED[name].items())


@pytest.mark.parametrize("name", sweep(("resnet", "vgg bn", "efficientnet_lite"), "vgg bn"))
def test_training_mode_normalizes_by_the_batch_and_moves_the_averages(
    random_model, forward, name, images
):
    model = random_model(SMALL[name])

    def averages():
        return [np.asarray(x) for x in jax.tree.leaves(nnx.state(model, nnx.BatchStat))]

    model.eval()
    before, first = averages(), forward(model, images)
    np.testing.assert_array_equal(forward(model, images), first)
    model.train()
    trained = forward(model, images)
    model.eval()
    assert all(np.abs(a - b).max() > 0 for a, b in zip(before, averages(), strict=True))
    assert relative_change(trained, first) > 0.01
    assert relative_change(forward(model, images), first) > 1e-4


def relative_change(new, old):
    return np.linalg.norm(np.asarray(new) - old) / np.linalg.norm(old)


def test_dropped_paths_leave_the_input_of_a_block(random_model, forward, rng):
    block = random_model(partial(Block, 8, 8, size=3, stride=1, expansion=2, drop_path=0.5))
    x = jnp.asarray(rng.standard_normal((32, 4, 4, 8)), jnp.float32)
    kept = np.abs(forward(block, x) - x).max(axis=(1, 2, 3)) > 0
    assert 4 < kept.sum() < 28
    block.eval()
    assert (np.abs(forward(block, x) - x).max(axis=(1, 2, 3)) > 0).all()


@pytest.mark.slow
def test_fit_trains_a_model_with_batch_norm_and_dropout(random_model, images):
    model = random_model(SMALL["vgg bn"])
    before = nnx.state(model, nnx.BatchStat)
    state, history = ja.fit(model, optax.sgd(1e-3), images, np.arange(4), steps=2, batch_size=4)
    assert np.isfinite(history.loss).all()
    moved = jax.tree.map(
        lambda a, b: np.abs(np.asarray(a) - b).max(),
        nnx.filter_state(state.model, nnx.BatchStat),
        before,
    )
    assert min(jax.tree.leaves(moved)) > 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            partial(ResNet, BasicBlock, (1, 1, 1, 1), 5, stem="mnist"),
            "stem must be 'imagenet' or 'cifar', found 'mnist'",
        ),
        (partial(efficientnet_lite, 5), "version must be 0 to 4, found 5"),
        (
            partial(CNN, (8, 3, 1), (4, 4), 5, 5),
            r"image \(8, 3, 1\) must have at least 4 pixels a side",
        ),
    ],
)
def test_bad_arguments_are_explained(build, message):
    with pytest.raises(ValueError, match=message):
        build(rngs=nnx.Rngs(0))


@pytest.mark.parametrize(("name", "pixels"), [("squeezenet", 16), ("vgg", 3)])
def test_images_that_pools_leave_nothing_of_are_refused(name, pixels):
    model = nnx.eval_shape(lambda: SMALL[name](rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=f"at least {pixels + 1} × {pixels + 1} pixels"):
        model(jnp.ones((1, pixels, 99, 3)))


def test_adaptive_windows_share_the_image(rng):
    image = jnp.asarray(rng.standard_normal((2, 14, 3, 5)), jnp.float32)
    pooled = AdaptiveAveragePool(7)(image)
    rows = image.reshape(2, 7, 2, 3, 5).mean(2)
    columns = [slice(i * 3 // 7, -(-(i + 1) * 3 // 7)) for i in range(7)]
    np.testing.assert_allclose(
        pooled, jnp.stack([rows[:, :, c].mean(2) for c in columns], 2), atol=1e-6
    )
    same = jnp.asarray(rng.standard_normal((1, 7, 7, 2)), jnp.float32)
    np.testing.assert_array_equal(AdaptiveAveragePool(7)(same), same)
