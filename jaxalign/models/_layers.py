"""Layers of the image models: activations and pools that ``tap`` captures, torch's convolutions."""

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Shaped

HE = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")


class Activation(nnx.Module):
    """A function as a layer without parameters, so that ``tap`` captures its output.

    Args:
      function: of one array of any shape.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from jaxalign.models._layers import Activation
      >>> Activation(jax.nn.relu)(jnp.array([-1.0, 2.0])).tolist()
      [0.0, 2.0]
    """

    def __init__(self, function: Callable[[Array], Array]):
        self.function = function

    def __call__(self, x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        return self.function(x)


class MaxPool(nnx.Module):
    """The largest value in every size × size window; padding counts as −inf.

    Args:
      size: rows and columns of the window.
      stride: steps between windows.
      padding: rows and columns added on every side.
      whole: whether to include a last window that crosses the border (torch's ``ceil_mode``).

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxalign.models._layers import MaxPool
      >>> image = -jnp.ones((1, 6, 6, 2))
      >>> pooled = MaxPool(3, 2, padding=1)(image)
      >>> pooled.shape, float(pooled.max())
      ((1, 3, 3, 2), -1.0)
      >>> MaxPool(3, 2)(image).shape, MaxPool(3, 2, whole=True)(image).shape
      ((1, 2, 2, 2), (1, 3, 3, 2))

    Source: flax.nnx.max_pool.
    """

    def __init__(self, size: int, stride: int, *, padding: int = 0, whole: bool = False):
        self.size = size
        self.stride = stride
        self.padding = padding
        self.whole = whole

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n p q c"]:
        pads = tuple(
            (self.padding, self.padding + self._overhang(length)) for length in x.shape[1:3]
        )
        return nnx.max_pool(
            x, (self.size, self.size), strides=(self.stride, self.stride), padding=pads
        )

    def _overhang(self, length: int) -> int:
        """The rows of the last window that lie below the padded image."""
        if not self.whole:
            return 0
        return -(length + 2 * self.padding - self.size) % self.stride


class GlobalAveragePool(nnx.Module):
    """The mean over all positions, (n, h, w, c) → (n, c).

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxalign.models._layers import GlobalAveragePool
      >>> GlobalAveragePool()(jnp.ones((5, 7, 7, 3))).shape
      (5, 3)

    Source: Lin, Chen, Yan, Network in Network (ICLR 2014).
    """

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n c"]:
        return x.mean(axis=(1, 2))


def convolution(
    inputs: int,
    outputs: int,
    size: int,
    *,
    stride: int = 1,
    padding: int | str | None = None,
    bias: bool = False,
    rngs: nnx.Rngs,
) -> nnx.Conv:
    """A size × size convolution, (n, h, w, inputs) → (n, h', w', outputs), He-normal by fan-out.

    Args:
      inputs: channels in.
      outputs: channels out.
      size: rows and columns of the kernel.
      stride: steps between windows.
      padding: rows and columns of zeros on every side, or "SAME" or "VALID"; None is size // 2 on
        every side. With a stride, "SAME" pads below and right first, unlike torch.
      bias: whether there is a bias.
      rngs: the source of the initial weights.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxalign.models._layers import convolution
      >>> convolution(3, 8, 3, stride=2, rngs=nnx.Rngs(0))(jnp.ones((1, 32, 32, 3))).shape
      (1, 16, 16, 8)

    Source: He et al., Delving Deep into Rectifiers (ICCV 2015), for the initial weights.
    """
    if padding is None:
        padding = size // 2
    return nnx.Conv(
        inputs,
        outputs,
        (size, size),
        strides=stride,
        padding=padding,
        use_bias=bias,
        kernel_init=HE,
        rngs=rngs,
    )


def check_images(x: Array, channels: int, smallest: int = 1) -> None:
    """Raise unless ``x`` is a batch of NHWC images with that many channels.

    Args:
      x: the images, (n, h, w, channels), float.
      channels: the number of channels that the model expects.
      smallest: the smallest height and width that the model's pools allow.

    Raises:
      TypeError: images that are not floating point.
      ValueError: another rank, other channels, or images that are too small.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxalign.models._layers import check_images
      >>> check_images(jnp.ones((2, 3, 32, 32)), channels=3)
      Traceback (most recent call last):
      ValueError: images must be (n, h, w, 3), found (2, 3, 32, 32): channels come last, as by
        x.transpose(0, 2, 3, 1)
    """
    if x.ndim != 4 or x.shape[-1] != channels:
        raise ValueError(
            f"images must be (n, h, w, {channels}), found {x.shape}{_remedy(x.shape, channels)}"
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"images must be floating point, found {x.dtype}: "
            "scale them as for training, as by x / 255"
        )
    if min(x.shape[1:3]) < smallest:
        raise ValueError(
            f"images must have at least {smallest} × {smallest} pixels, "
            f"found {x.shape[1]} × {x.shape[2]}"
        )


def _remedy(shape: tuple[int, ...], channels: int) -> str:
    if len(shape) == 4 and shape[1] == channels:
        return ": channels come last, as by x.transpose(0, 2, 3, 1)"
    if len(shape) == 3 and channels == 1:
        return ": give them a channel, as by x[..., None]"
    if len(shape) == 3 and shape[-1] == channels:
        return ": give a batch, as by x[None]"
    if len(shape) == 4:
        return "; the model's argument channels says how many it takes"
    return ""
