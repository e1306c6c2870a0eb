"""VGG networks with and without batch norm; the layers have torchvision's names."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from jaxalign.models._layers import Activation, MaxPool, check_images, convolution

VGG11 = ((64,), (128,), (256, 256), (512, 512), (512, 512))
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class AdaptiveAveragePool(nnx.Module):
    """Means over size × size windows that share the image as evenly as they can, (n, h, w, c) → (n,
    size, size, c).

    Window i goes from floor(i h / size) to ceil((i + 1) h / size): windows overlap where size does
    not divide h, and repeat pixels where h is smaller.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxalign.models._vgg import AdaptiveAveragePool
      >>> AdaptiveAveragePool(2)(jnp.arange(3.0).reshape(1, 3, 1, 1))[0, :, 0, 0].tolist()
      [0.5, 1.5]

    Source: torch's AdaptiveAvgPool2d.
    """

    def __init__(self, size: int):
        self.size = size

    def __call__(self, x: Array) -> Array:
        rows, columns = (
            jnp.asarray(_windows(length, self.size), x.dtype) for length in x.shape[1:3]
        )
        return jnp.einsum("ih,jw,nhwc->nijc", rows, columns, x, precision="highest")


def _windows(length: int, size: int) -> np.ndarray:
    """Averaging matrix (size, length)."""
    start = np.arange(size) * length // size
    stop = -(-(np.arange(size) + 1) * length // size)
    position = np.arange(length)
    inside = (position >= start[:, None]) & (position < stop[:, None])
    return inside / inside.sum(axis=1, keepdims=True)


class VGG(nnx.Module):
    """Stages of 3×3 convolutions, each ended by a pool; two hidden linear layers with dropout; a
    linear layer.

    Args:
      stages: output channels of every convolution, a sequence a stage, such as VGG16.
      classes: number of outputs.
      batch_norm: whether each convolution is followed by one. Convolutions have a bias in either
        case.
      channels: of the images.
      hidden: units of the two hidden layers.
      dropout: rate after each of the two.
      rngs: the source of the initial weights (He-normal) and of dropout.

    Raises:
      ValueError: when called, what is no batch of images (n, h, w, channels), or images that the
        pools leave nothing of.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.models import VGG
      >>> model = VGG(((4,), (8, 8)), 10, hidden=16, rngs=nnx.Rngs(0))
      >>> output, activations = ja.tap(model, model.post_activations)(nnx.state(model), jnp.ones((2, 32, 32, 3)))
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

        def linear(i, o):
            return nnx.Linear(i, o, kernel_init=nnx.initializers.normal(0.01), rngs=rngs)

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
        """The names of all relu layers: which they are depends on depth and batch norm."""
        parts = {"features": self.features, "classifier": self.classifier}
        return tuple(
            f"{part}.{i}"
            for part, layers in parts.items()
            for i, layer in enumerate(layers)
            if isinstance(layer, Activation)
        )

    def __call__(self, x: Array) -> Array:
        check_images(x, self.channels, self.smallest)
        for layer in self.features:
            x = layer(x)
        # Channels first, as the published weights of the first linear layer have it.
        x = self.avgpool(x).transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
        for layer in self.classifier:
            x = layer(x)
        return x


def vgg11(
    classes: int = 1000, *, batch_norm: bool = False, channels: int = 3, rngs: nnx.Rngs
) -> VGG:
    """VGG-11, see ``VGG``: 132,863,336 parameters, 132,868,840 with batch norm. Example, source: as
    ``vgg16``.
    """
    return VGG(VGG11, classes, batch_norm=batch_norm, channels=channels, rngs=rngs)


def vgg16(
    classes: int = 1000, *, batch_norm: bool = False, channels: int = 3, rngs: nnx.Rngs
) -> VGG:
    """VGG-16, see ``VGG``: 138,357,544 parameters, 138,365,992 with batch norm.

    Example:
      >>> from flax import nnx
      >>> from jaxalign.models import vgg16
      >>> shapes = nnx.eval_shape(lambda: vgg16(rngs=nnx.Rngs(0)))
      >>> shapes.classifier[0].kernel.shape
      (25088, 4096)

    Source: Simonyan, Zisserman, Very Deep Convolutional Networks (ICLR 2015).
    """
    return VGG(VGG16, classes, batch_norm=batch_norm, channels=channels, rngs=rngs)
