"""SqueezeNet 1.1; the layers have torchvision's names."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from jaxalign.models._layers import (
    Activation,
    GlobalAveragePool,
    MaxPool,
    check_images,
    convolution,
)


class Fire(nnx.Module):
    """A 1×1 convolution to few channels, then 1×1 and 3×3 ones of these; relu after each."""

    def __init__(self, inputs: int, squeezed: int, expanded: int, *, rngs: nnx.Rngs):
        self.squeeze = convolution(inputs, squeezed, 1, bias=True, rngs=rngs)
        self.squeeze_activation = Activation(jax.nn.relu)
        self.expand1x1 = convolution(squeezed, expanded, 1, bias=True, rngs=rngs)
        self.expand1x1_activation = Activation(jax.nn.relu)
        self.expand3x3 = convolution(squeezed, expanded, 3, bias=True, rngs=rngs)
        self.expand3x3_activation = Activation(jax.nn.relu)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w k"]:
        squeezed = self.squeeze_activation(self.squeeze(x))
        pointwise = self.expand1x1_activation(self.expand1x1(squeezed))
        spatial = self.expand3x3_activation(self.expand3x3(squeezed))
        return jnp.concatenate([pointwise, spatial], axis=-1)


class SqueezeNet(nnx.Module):
    """SqueezeNet 1.1: convolution, eight fire modules, three pools, 1×1 convolution, global mean.

    As in the authors' network, convolutions with a stride have no padding, and pools include a last
    window that crosses the border. Ports without such windows agree at 224 pixels and lose a row at
    227.

    Args:
      classes: number of outputs.
      channels: of the images.
      dropout: rate before the last convolution.
      rngs: the source of the initial weights (He-normal) and of dropout.

    Raises:
      ValueError: when called, an array that is not a batch of images (n, h, w, channels), or images
        smaller than 17 × 17 pixels.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.models import SqueezeNet
      >>> model = nnx.eval_shape(lambda: SqueezeNet(10, rngs=nnx.Rngs(0)))
      >>> tap = ja.tap(model, model.post_activations)
      >>> output, activations = jax.eval_shape(tap, nnx.state(model), jnp.ones((1, 227, 227, 3)))
      >>> list(activations)[:3], activations["features.12"].shape, output.shape
      (['features.1', 'features.3', 'features.4'], (1, 14, 14, 512), (1, 10))

    Source: Iandola et al., SqueezeNet (2016), and the authors' version 1.1: 1,235,496 parameters.
    """

    post_activations = ("features.1", "features.[34679]", "features.1[0-2]")

    def __init__(
        self, classes: int = 1000, *, channels: int = 3, dropout: float = 0.5, rngs: nnx.Rngs
    ):
        self.channels = channels
        self.features = nnx.List(
            [
                convolution(channels, 64, 3, stride=2, padding=0, bias=True, rngs=rngs),
                Activation(jax.nn.relu),
                MaxPool(3, 2, whole=True),
                Fire(64, 16, 64, rngs=rngs),
                Fire(128, 16, 64, rngs=rngs),
                MaxPool(3, 2, whole=True),
                Fire(128, 32, 128, rngs=rngs),
                Fire(256, 32, 128, rngs=rngs),
                MaxPool(3, 2, whole=True),
                Fire(256, 48, 192, rngs=rngs),
                Fire(384, 48, 192, rngs=rngs),
                Fire(384, 64, 256, rngs=rngs),
                Fire(512, 64, 256, rngs=rngs),
            ]
        )
        self.classifier = nnx.List(
            [
                nnx.Dropout(dropout, rngs=rngs),
                convolution(512, classes, 1, bias=True, rngs=rngs),
                Activation(jax.nn.relu),
                GlobalAveragePool(),
            ]
        )

    def __call__(self, x: Float[Array, "n h w channels"]) -> Float[Array, "n classes"]:
        check_images(x, self.channels, smallest=17)
        for layer in (*self.features, *self.classifier):
            x = layer(x)
        return x
