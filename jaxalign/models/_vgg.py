"""VGG networks with and without batch norm; layers have torchvision's names."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float

from jaxalign.models._layers import Activation, MaxPool, check_images, convolution

VGG11 = ((64,), (128,), (256, 256), (512, 512), (512, 512))
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class AdaptiveAveragePool(nnx.Module):
    """Means over size × size windows that divide the image as evenly as possible.

    Window i extends from floor(i h / size) to ceil((i + 1) h / size). Windows overlap if size does
    not divide h, and repeat pixels if h is smaller.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxalign.models._vgg import AdaptiveAveragePool
      >>> AdaptiveAveragePool(2)(jnp.arange(3.0).reshape(1, 3, 1, 1))[0, :, 0, 0].tolist()
      [0.5, 1.5]

    Source: torch's AdaptiveAvgPool2d.
    """

    def __init__(self, size: int):
        self.size = size

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n size size c"]:
        rows = jnp.asarray(_averaging(x.shape[1], self.size), x.dtype)
        columns = jnp.asarray(_averaging(x.shape[2], self.size), x.dtype)
        return jnp.einsum("ih,jw,nhwc->nijc", rows, columns, x, precision="highest")


def _averaging(length: int, size: int) -> Float[np.ndarray, "size length"]:
    """The matrix whose row i takes the mean over window i."""
    start = np.arange(size) * length // size
    # −(−a // b) rounds up.
    stop = -(-(np.arange(size) + 1) * length // size)
    position = np.arange(length)
    inside = (position >= start[:, None]) & (position < stop[:, None])
    return inside / inside.sum(axis=1, keepdims=True)


class VGG(nnx.Module):
    """Stages of 3×3 convolutions, each ending with a pool; two hidden layers; a linear layer.

    Args:
      stages: output channels of every convolution, one sequence per stage, such as
        ((64, 64), (128, 128)).
      classes: number of outputs.
      batch_norm: whether a batch norm follows each convolution. Convolutions have a bias in either
        case.
      channels: of the images.
      hidden: units of the two hidden layers.
      dropout: rate after each hidden linear layer.
      rngs: the source of the initial weights (He-normal) and of dropout.

    Raises:
      ValueError: when called, an array that is not a batch of images (n, h, w, channels), or images
        too small for the pools.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.models import VGG
      >>> model = nnx.eval_shape(lambda: VGG(((4,), (8, 8)), 10, hidden=16, rngs=nnx.Rngs(0)))
      >>> tap = ja.tap(model, model.post_activations)
      >>> images = jnp.ones((2, 32, 32, 3))
      >>> output, activations = jax.eval_shape(tap, nnx.state(model), images)  # shapes alone
      >>> {name: a.shape for name, a in activations.items()}
      {'features.1': (2, 32, 32, 4), 'features.4': (2, 16, 16, 8), 'features.6': (2, 16, 16, 8),
       'classifier.1': (2, 16), 'classifier.4': (2, 16)}

    Source: Simonyan, Zisserman, Very Deep Convolutional Networks (ICLR 2015).
    """

    def __init__(
        self,
        stages: Sequence[Sequence[int]],
        classes: int,
        *,
        batch_norm: bool = False,
        channels: int = 3,
        hidden: int = 4096,
        dropout: float = 0.5,
        rngs: nnx.Rngs,
    ):
        self.channels = channels
        self.smallest = 2 ** len(stages)
        features: list[nnx.Module] = []
        width = channels
        for stage in stages:
            for outputs in stage:
                features.append(convolution(width, outputs, 3, bias=True, rngs=rngs))
                if batch_norm:
                    features.append(nnx.BatchNorm(outputs, momentum=0.9, epsilon=1e-5, rngs=rngs))
                features.append(Activation(jax.nn.relu))
                width = outputs
            features.append(MaxPool(2, 2))
        self.features = nnx.List(features)
        self.avgpool = AdaptiveAveragePool(7)

        def linear(inputs, outputs):
            initial = nnx.initializers.normal(0.01)
            return nnx.Linear(inputs, outputs, kernel_init=initial, rngs=rngs)

        self.classifier = nnx.List(
            [
                linear(width * 7 * 7, hidden),
                Activation(jax.nn.relu),
                nnx.Dropout(dropout, rngs=rngs),
                linear(hidden, hidden),
                Activation(jax.nn.relu),
                nnx.Dropout(dropout, rngs=rngs),
                linear(hidden, classes),
            ]
        )

    @property
    def post_activations(self) -> tuple[str, ...]:
        """The names of all relu layers, which depend on depth and batch norm."""
        parts = {"features": self.features, "classifier": self.classifier}
        return tuple(
            f"{part}.{i}"
            for part, layers in parts.items()
            for i, layer in enumerate(layers)
            if isinstance(layer, Activation)
        )

    def __call__(self, x: Float[Array, "n h w channels"]) -> Float[Array, "n classes"]:
        check_images(x, self.channels, self.smallest)
        for layer in self.features:
            x = layer(x)
        # Channels first, as the first linear layer of the published weights expects.
        x = self.avgpool(x).transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
        for layer in self.classifier:
            x = layer(x)
        return x


def vgg11(
    classes: int = 1000, *, batch_norm: bool = False, channels: int = 3, rngs: nnx.Rngs
) -> VGG:
    """VGG-11, see ``VGG``: 132,863,336 parameters, 132,868,840 with batch norm.

    Arguments: as ``vgg16``.
    """
    return VGG(VGG11, classes, batch_norm=batch_norm, channels=channels, rngs=rngs)


def vgg16(
    classes: int = 1000, *, batch_norm: bool = False, channels: int = 3, rngs: nnx.Rngs
) -> VGG:
    """VGG-16, see ``VGG``: 138,357,544 parameters, 138,365,992 with batch norm.

    Args:
      classes: number of outputs.
      batch_norm: whether a batch norm follows each convolution.
      channels: of the images.
      rngs: the source of the initial weights and of dropout.

    Returns:
      VGG.

    Example:
      >>> from flax import nnx
      >>> from jaxalign.models import vgg16
      >>> shapes = nnx.eval_shape(lambda: vgg16(rngs=nnx.Rngs(0)))
      >>> shapes.classifier[0].kernel.shape
      (25088, 4096)

    Source: Simonyan, Zisserman, Very Deep Convolutional Networks (ICLR 2015).
    """
    return VGG(VGG16, classes, batch_norm=batch_norm, channels=channels, rngs=rngs)
