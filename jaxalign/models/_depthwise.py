"""Depthwise convolution, on CPUs as a sum of k² shifted images with one weight per channel each.

XLA on CPUs runs a depthwise convolution as c convolutions of one channel, which is slow. Other
platforms use XLA's convolution.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, lax
from jaxtyping import Float

# The fan of a depthwise kernel (k, k, 1, c) is k², which jax calls its fan-in.
HE = nnx.initializers.variance_scaling(2.0, "fan_in", "normal")


class DepthwiseConv(nnx.Module):
    """A k × k convolution of each channel with its own kernel, "SAME" padding, no bias.

    Args:
      channels: c, in and out.
      size: k, rows and columns of the kernels.
      stride: steps between windows.
      rngs: the source of the initial weights (He-normal).

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxalign.models._depthwise import DepthwiseConv
      >>> layer = DepthwiseConv(8, 5, stride=2, rngs=nnx.Rngs(0))
      >>> layer.kernel.shape, layer(jnp.ones((1, 15, 15, 8))).shape
      ((5, 5, 1, 8), (1, 8, 8, 8))

    Source: Howard et al., MobileNets (2017).
    """

    def __init__(self, channels: int, size: int, *, stride: int = 1, rngs: nnx.Rngs):
        self.kernel = nnx.Param(HE(rngs.params(), (size, size, 1, channels), jnp.float32))
        self.kernel_size = (size, size)
        self.stride = stride

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n p q c"]:
        return depthwise_convolution(x, self.kernel[...], stride=self.stride)


# Without jit, every eager call would compile both branches again.
@partial(jax.jit, static_argnames=("stride", "padding"))
def depthwise_convolution(
    images: Float[Array, "n h w c"],
    kernel: Float[Array, "k l 1 c"],
    *,
    stride: int = 1,
    padding: str = "SAME",
) -> Float[Array, "n p q c"]:
    """out[n, p, q, c] = Σ_ij kernel[i, j, 0, c] · images[n, s·p + i, s·q + j, c], on the padded
    images.

    Args:
      images: (n, h, w, c), float.
      kernel: (k, l, 1, c).
      stride: s.
      padding: "SAME" or "VALID".

    Returns:
      (n, p, q, c), in the dtype of the images; sums are in float32 at least.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxalign.models._depthwise import depthwise_convolution
      >>> depthwise_convolution(jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1)))[0, :, :, 0].tolist()
      [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]
    """
    return lax.platform_dependent(
        images,
        kernel,
        cpu=partial(shifted_sum, stride=stride, padding=padding),
        default=partial(xla_convolution, stride=stride, padding=padding),
    )


def shifted_sum(
    images: Float[Array, "n h w c"], kernel: Float[Array, "k l 1 c"], *, stride: int, padding: str
) -> Float[Array, "n p q c"]:
    """``depthwise_convolution`` as k·l multiply-adds of strided slices."""
    rows, columns = kernel.shape[:2]
    pads = lax.padtype_to_pads(images.shape[1:3], (rows, columns), (stride, stride), padding)
    dtype = np.promote_types(images.dtype, np.float32)
    padded = jnp.pad(images, ((0, 0), *pads, (0, 0))).astype(dtype)
    n, height, width, channels = padded.shape

    def window(i, j):
        """The pixel (i, j) of every window: all windows start within height − rows, ... ."""
        stop = (n, height - rows + i + 1, width - columns + j + 1, channels)
        return lax.slice(padded, (0, i, j, 0), stop, (1, stride, stride, 1))

    # Σ_ij kernel[i, j, 0, c] · padded[n, s·p + i, s·q + j, c]
    total = jnp.zeros((), dtype)
    for i in range(rows):
        for j in range(columns):
            total = total + window(i, j) * kernel[i : i + 1, j : j + 1].astype(dtype)
    return total.astype(images.dtype)


def xla_convolution(
    images: Float[Array, "n h w c"], kernel: Float[Array, "k l 1 c"], *, stride: int, padding: str
) -> Float[Array, "n p q c"]:
    """``depthwise_convolution`` by XLA's grouped convolution."""
    return lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[-1],
    )
