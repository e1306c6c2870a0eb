from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxalign.models._depthwise import (
    DepthwiseConv,
    depthwise_convolution,
    shifted_sum,
    xla_convolution,
)


def problem(rng, shape, size):
    images = jnp.asarray(rng.standard_normal(shape), jnp.float32)
    return images, jnp.asarray(rng.standard_normal((size, size, 1, shape[-1])), jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_shifted_sum_and_its_gradients_are_those_of_xla(rng, size, stride, padding):
    images, kernel = problem(rng, (2, 9, 12, 5), size)

    def value_and_gradients(convolve, images, kernel):
        out, pullback = jax.vjp(partial(convolve, stride=stride, padding=padding), images, kernel)
        return out, *pullback(jnp.sin(jnp.arange(out.size, dtype=out.dtype)).reshape(out.shape))

    @jax.jit
    def both(images, kernel):
        return [value_and_gradients(f, images, kernel) for f in (shifted_sum, xla_convolution)]

    for ours, theirs in zip(*both(images, kernel), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(
            ours, theirs, atol=1e-5 * float(jnp.abs(theirs).max()), rtol=1e-5
        )


def test_forward_mode_is_linear_in_images_and_kernel(rng):
    images, kernel = problem(rng, (2, 8, 8, 4), 3)
    convolve = partial(depthwise_convolution, stride=2)
    _, tangent = jax.jit(lambda *a: jax.jvp(convolve, a, a))(images, kernel)
    np.testing.assert_allclose(tangent, 2 * convolve(images, kernel), rtol=1e-5, atol=1e-5)


def test_vmap_over_kernels_and_batches(rng):
    images, kernel = problem(rng, (6, 8, 8, 4), 3)
    kernels = jnp.stack([kernel, 2 * kernel])
    together = jax.jit(jax.vmap(jax.vmap(depthwise_convolution, (0, None)), (None, 0)))(
        images.reshape(3, 2, 8, 8, 4), kernels
    )
    alone = depthwise_convolution(images, kernel).reshape(3, 2, 8, 8, 4)
    np.testing.assert_allclose(together, jnp.stack([alone, 2 * alone]), rtol=1e-5, atol=1e-5)


def test_half_precision_is_summed_in_float32(rng):
    images, kernel = problem(rng, (1, 8, 8, 4), 5)
    low = depthwise_convolution(images.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16))
    exact = depthwise_convolution(
        *(a.astype(jnp.bfloat16).astype(jnp.float32) for a in (images, kernel))
    )
    assert low.dtype == jnp.bfloat16
    np.testing.assert_array_equal(low, exact.astype(jnp.bfloat16))


@pytest.mark.parametrize(("platform", "convolves"), [("cpu", False), ("cuda", True), ("tpu", True)])
def test_other_devices_get_their_own_convolution(platform, convolves):
    shapes = (
        jax.ShapeDtypeStruct((1, 8, 8, 4), jnp.float32),
        jax.ShapeDtypeStruct((3, 3, 1, 4), jnp.float32),
    )
    exported = jax.export.export(depthwise_convolution, platforms=[platform])(*shapes)
    assert ("stablehlo.convolution" in exported.mlir_module()) == convolves


def test_layer_sees_each_channel_by_itself(rng):
    layer = DepthwiseConv(4, 3, rngs=nnx.Rngs(0))
    images, _ = problem(rng, (1, 6, 6, 4), 3)
    changed = layer(images.at[..., 1].add(1)) - layer(images)
    assert jnp.abs(changed).max(axis=(0, 1, 2)).astype(bool).tolist() == [False, True, False, False]
