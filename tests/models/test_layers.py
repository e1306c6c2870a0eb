import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxalign.models._layers import GlobalAveragePool, MaxPool, check_images, convolution


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("length", [5, 6, 7, 8])
@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(3, 2, 0), (3, 2, 1), (2, 2, 0), (3, 1, 1)]
)
def test_max_pool_is_the_maximum_of_what_lies_inside_its_windows(
    rng, length, size, stride, padding, whole
):
    # Negative: padding with zeros would win.
    images = -1 - rng.random((2, length, length + 1, 3)).astype(np.float32)

    def starts(n):
        last = n + 2 * padding - size + (stride - 1 if whole else 0)
        return range(-padding, last // stride * stride - padding + 1, stride)

    def window(i, j):
        return images[:, max(i, 0) : max(i + size, 0), max(j, 0) : max(j + size, 0)].max(
            axis=(1, 2)
        )

    expected = np.stack(
        [np.stack([window(i, j) for j in starts(length + 1)], 1) for i in starts(length)], 1
    )
    pool = MaxPool(size, stride, padding=padding, whole=whole)
    np.testing.assert_array_equal(pool(jnp.asarray(images)), expected)


def test_convolutions_are_padded_alike_on_every_side(rng):
    layer = convolution(2, 4, 3, stride=2, rngs=nnx.Rngs(0))
    images = jnp.asarray(rng.standard_normal((1, 8, 8, 2)), jnp.float32)
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    corner = jnp.einsum("ijc,ijco->o", padded[0, 2:5, 4:7], layer.kernel[...])
    np.testing.assert_allclose(layer(images)[0, 1, 2], corner, rtol=1e-4, atol=1e-5)


def test_initial_weights_keep_the_variance_through_a_relu():
    layer = convolution(64, 256, 3, rngs=nnx.Rngs(0))
    assert float(jnp.var(layer.kernel[...])) == pytest.approx(2 / (9 * 256), rel=0.02)


def test_global_average_pool_is_the_mean(rng):
    images = rng.standard_normal((3, 4, 5, 2)).astype(np.float32)
    np.testing.assert_allclose(
        GlobalAveragePool()(jnp.asarray(images)), images.reshape(3, 20, 2).mean(1), atol=1e-6
    )


@pytest.mark.parametrize(
    ("shape", "channels", "message"),
    [
        ((2, 3, 8, 8), 3, r"\(n, h, w, 3\), found \(2, 3, 8, 8\): channels come last"),
        ((2, 8, 8), 1, r"found \(2, 8, 8\): give them a channel, as by x\[..., None\]"),
        ((8, 8, 3), 3, r"found \(8, 8, 3\): give a batch, as by x\[None\]"),
        ((2, 8, 8, 1), 3, r"found \(2, 8, 8, 1\); the model's argument channels"),
        ((2, 64), 3, r"found \(2, 64\)$"),
        ((2, 4, 9, 3), 3, "at least 5 × 5 pixels, found 4 × 9"),
    ],
)
def test_what_is_no_batch_of_images_is_explained(shape, channels, message):
    with pytest.raises(ValueError, match=message):
        check_images(jnp.ones(shape), channels, smallest=5)


def test_images_of_integers_are_refused():
    with pytest.raises(TypeError, match="floating point, found uint8"):
        check_images(jnp.ones((2, 8, 8, 3), jnp.uint8), 3)
