"""ResNets v1.5 with the layer names of torchvision.

In v1.5 the stride of a bottleneck is on its 3×3 convolution.
"""

from typing import Literal

import jax
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


def batch_norm(channels: int, *, rngs: nnx.Rngs) -> nnx.BatchNorm:
    return nnx.BatchNorm(channels, momentum=0.9, epsilon=1e-5, rngs=rngs)


def shortcut(inputs: int, outputs: int, stride: int, *, rngs: nnx.Rngs) -> nnx.List:
    """Layers that give a block's input the shape of its output; none if the shapes agree."""
    if stride == 1 and inputs == outputs:
        return nnx.List([])
    return nnx.List(
        [convolution(inputs, outputs, 1, stride=stride, rngs=rngs), batch_norm(outputs, rngs=rngs)]
    )


class BasicBlock(nnx.Module):
    """relu(bn2(conv2(relu(bn1(conv1(x))))) + x), 3×3 convolutions; for ResNet-18 and 34."""

    expansion = 1

    def __init__(self, inputs: int, width: int, *, stride: int, rngs: nnx.Rngs):
        self.conv1 = convolution(inputs, width, 3, stride=stride, rngs=rngs)
        self.bn1 = batch_norm(width, rngs=rngs)
        self.conv2 = convolution(width, width, 3, rngs=rngs)
        self.bn2 = batch_norm(width, rngs=rngs)
        self.relu = Activation(jax.nn.relu)
        self.downsample = shortcut(inputs, width, stride, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n p q k"]:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        for layer in self.downsample:
            x = layer(x)
        return self.relu(y + x)


class Bottleneck(nnx.Module):
    """1×1, 3×3 and 1×1 convolutions, the last four times as wide; plus shortcut; for ResNet-50."""

    expansion = 4

    def __init__(self, inputs: int, width: int, *, stride: int, rngs: nnx.Rngs):
        outputs = self.expansion * width
        self.conv1 = convolution(inputs, width, 1, rngs=rngs)
        self.bn1 = batch_norm(width, rngs=rngs)
        self.conv2 = convolution(width, width, 3, stride=stride, rngs=rngs)
        self.bn2 = batch_norm(width, rngs=rngs)
        self.conv3 = convolution(width, outputs, 1, rngs=rngs)
        self.bn3 = batch_norm(outputs, rngs=rngs)
        self.relu = Activation(jax.nn.relu)
        self.downsample = shortcut(inputs, outputs, stride, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n p q k"]:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        for layer in self.downsample:
            x = layer(x)
        return self.relu(y + x)


class ResNet(nnx.Module):
    """Stem, four stages of residual blocks, the mean over positions, a linear layer.

    Args:
      block: BasicBlock or Bottleneck.
      depths: number of blocks of each of the four stages.
      classes: number of outputs.
      channels: of the images.
      stem: "imagenet" divides the image's sides by four, with a 7×7 convolution and a pool; "cifar"
        keeps the resolution of small images (28 or 32 pixels), with a 3×3 convolution.
      width: channels of the first stage; each further stage doubles them.
      rngs: the source of the initial weights (He-normal).

    Raises:
      ValueError: another stem; when called, an array that is no batch of images (n, h, w,
        channels).

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.models._resnet import BasicBlock, ResNet
      >>> options = {"channels": 1, "stem": "cifar", "width": 4}
      >>> def build():
      ...     return ResNet(BasicBlock, (1, 1, 1, 1), 10, **options, rngs=nnx.Rngs(0))
      >>> model = nnx.eval_shape(build)  # shapes alone; build() has weights
      >>> tap = ja.tap(model, model.post_activations)
      >>> output, activations = jax.eval_shape(tap, nnx.state(model), jnp.ones((2, 28, 28, 1)))
      >>> {name: a.shape for name, a in activations.items()}
      {'relu': (2, 28, 28, 4), 'layer1.0': (2, 28, 28, 4), 'layer2.0': (2, 14, 14, 8),
       'layer3.0': (2, 7, 7, 16), 'layer4.0': (2, 4, 4, 32)}

    Source: He et al., Deep Residual Learning (CVPR 2016); the small stem is that of its section
      4.2.
    """

    post_activations = ("relu", "layer[1-4].[0-9]")

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        classes: int,
        *,
        channels: int = 3,
        stem: Literal["imagenet", "cifar"] = "imagenet",
        width: int = 64,
        rngs: nnx.Rngs,
    ):
        if stem not in ("imagenet", "cifar"):
            raise ValueError(f"stem must be 'imagenet' or 'cifar', found {stem!r}")
        self.channels = channels
        if stem == "imagenet":
            self.conv1 = convolution(channels, width, 7, stride=2, rngs=rngs)
        else:
            self.conv1 = convolution(channels, width, 3, rngs=rngs)
        self.maxpool = MaxPool(3, 2, padding=1) if stem == "imagenet" else None
        self.bn1 = batch_norm(width, rngs=rngs)
        self.relu = Activation(jax.nn.relu)
        stages = []
        inputs = width
        for i, depth in enumerate(depths):
            blocks = []
            for j in range(depth):
                # Every stage but the first halves the resolution, in its first block.
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(block(inputs, width * 2**i, stride=stride, rngs=rngs))
                inputs = width * 2**i * block.expansion
            stages.append(nnx.List(blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = GlobalAveragePool()
        self.fc = nnx.Linear(inputs, classes, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w channels"]) -> Float[Array, "n classes"]:
        check_images(x, self.channels)
        x = self.relu(self.bn1(self.conv1(x)))
        if self.maxpool is not None:
            x = self.maxpool(x)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = block(x)
        return self.fc(self.avgpool(x))


def resnet18(
    classes: int = 1000,
    *,
    channels: int = 3,
    stem: Literal["imagenet", "cifar"] = "imagenet",
    width: int = 64,
    rngs: nnx.Rngs,
) -> ResNet:
    """ResNet-18, see ``ResNet``: 11,689,512 parameters.

    Example:
      >>> from flax import nnx
      >>> from jaxalign.models import resnet18
      >>> model = nnx.eval_shape(lambda: resnet18(10, stem="cifar", width=16, rngs=nnx.Rngs(0)))
      >>> len(model.layer1), model.fc.kernel.shape
      (2, (128, 10))

    Source: He et al., Deep Residual Learning (CVPR 2016).
    """
    return ResNet(
        BasicBlock, (2, 2, 2, 2), classes, channels=channels, stem=stem, width=width, rngs=rngs
    )


def resnet34(
    classes: int = 1000,
    *,
    channels: int = 3,
    stem: Literal["imagenet", "cifar"] = "imagenet",
    width: int = 64,
    rngs: nnx.Rngs,
) -> ResNet:
    """ResNet-34, see ``ResNet``: 21,797,672 parameters. Example, source: as ``resnet18``."""
    return ResNet(
        BasicBlock, (3, 4, 6, 3), classes, channels=channels, stem=stem, width=width, rngs=rngs
    )


def resnet50(
    classes: int = 1000,
    *,
    channels: int = 3,
    stem: Literal["imagenet", "cifar"] = "imagenet",
    width: int = 64,
    rngs: nnx.Rngs,
) -> ResNet:
    """ResNet-50 v1.5, see ``ResNet``: 25,557,032 parameters. Example, source: as ``resnet18``."""
    return ResNet(
        Bottleneck, (3, 4, 6, 3), classes, channels=channels, stem=stem, width=width, rngs=rngs
    )
