"""ResNets v1.5 with the layer names of torchvision.

In v1.5 the stride of a bottleneck is on its 3×3 convolution.
"""

from collections.abc import Sequence
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
    """relu(bn2(conv2(relu(bn1(conv1(x))))) + x), 3×3 convolutions; for ResNet-18 and 34.

    Where the shape changes, x passes through a 1×1 convolution.

    Args:
      inputs: channels of x.
      outputs: channels of the result.
      stride: of the first convolution; 2 halves the sides.
      rngs: the source of the initial weights (He-normal).

    Example:
      >>> from flax import nnx
      >>> from jaxalign.models import BasicBlock, ResNet
      >>> def small():
      ...     depths = (1, 1, 1)  # a ResNet-8, for images of 32 pixels
      ...     return ResNet(BasicBlock, depths, 10, stem="cifar", width=16, rngs=nnx.Rngs(0))
      >>> nnx.eval_shape(small).fc.kernel.shape
      (64, 10)

    Source: He et al., Deep Residual Learning (CVPR 2016).
    """

    expansion = 1

    def __init__(self, inputs: int, outputs: int, *, stride: int, rngs: nnx.Rngs):
        self.conv1 = convolution(inputs, outputs, 3, stride=stride, rngs=rngs)
        self.bn1 = batch_norm(outputs, rngs=rngs)
        self.conv2 = convolution(outputs, outputs, 3, rngs=rngs)
        self.bn2 = batch_norm(outputs, rngs=rngs)
        self.relu = Activation(jax.nn.relu)
        self.downsample = shortcut(inputs, outputs, stride, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n p q k"]:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        for layer in self.downsample:
            x = layer(x)
        return self.relu(y + x)


class Bottleneck(nnx.Module):
    """1×1, 3×3 and 1×1 convolutions, the last four times as wide; plus shortcut; for ResNet-50.

    Args:
      inputs: channels of x.
      outputs: channels of the result, a multiple of 4.
      stride: of the 3×3 convolution; 2 halves the sides.
      rngs: the source of the initial weights (He-normal).

    Source: He et al., Deep Residual Learning (CVPR 2016).
    """

    expansion = 4

    def __init__(self, inputs: int, outputs: int, *, stride: int, rngs: nnx.Rngs):
        width = outputs // self.expansion
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
    """Stem, stages of residual blocks, the mean over positions, a linear layer.

    Args:
      block: BasicBlock or Bottleneck, as ``resnet18`` and ``resnet50`` choose them.
      depths: number of blocks of each stage, four as published.
      classes: number of outputs, or None for a network without the linear layer.
      channels: of the images.
      stem: "imagenet" divides the image's sides by four, with a 7×7 convolution and a pool; "cifar"
        keeps the resolution of small images (28 or 32 pixels), with a 3×3 convolution.
      width: channels of the stem.
      outputs: channels of each stage's blocks, as many as ``depths``. By default the first stage
        has ``width``, four times that with Bottleneck; each further stage doubles them.
      rngs: the source of the initial weights (He-normal).

    Raises:
      ValueError: another stem, ``outputs`` of other stages; when called, an array that is not a
        batch of images (n, h, w, channels).

    Example:
      >>> from flax import nnx
      >>> from jaxalign.models import resnet18
      >>> options = {"channels": 1, "stem": "cifar", "width": 4}
      >>> model = nnx.eval_shape(lambda: resnet18(10, **options, rngs=nnx.Rngs(0)))  # shapes alone
      >>> model.post_activations[:3], model.fc.kernel.shape
      (('relu', 'layer1.0', 'layer1.1'), (32, 10))

    Source: He et al., Deep Residual Learning (CVPR 2016); the small stem is that of its section
      4.2.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        classes: int | None,
        *,
        channels: int = 3,
        stem: Literal["imagenet", "cifar"] = "imagenet",
        width: int = 64,
        outputs: Sequence[int] | None = None,
        rngs: nnx.Rngs,
    ):
        if outputs is None:
            outputs = [block.expansion * width * 2**i for i in range(len(depths))]
        if len(outputs) != len(depths):
            raise ValueError(
                f"outputs must be those of {len(depths)} stages, found {len(outputs)}; "
                "pass as many as depths"
            )
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
        self.depths = tuple(depths)
        inputs = width
        for i, (depth, width_of_stage) in enumerate(zip(depths, outputs, strict=True)):
            blocks = []
            for j in range(depth):
                # Every stage but the first halves the resolution, in its first block.
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(block(inputs, width_of_stage, stride=stride, rngs=rngs))
                inputs = width_of_stage
            setattr(self, f"layer{i + 1}", nnx.List(blocks))
        self.avgpool = GlobalAveragePool()
        self.fc = None if classes is None else nnx.Linear(inputs, classes, rngs=rngs)

    @property
    def post_activations(self) -> tuple[str, ...]:
        """The stem's activation, and the blocks."""
        blocks = (f"layer{i}.{j}" for i, depth in enumerate(self.depths, 1) for j in range(depth))
        return ("relu", *blocks)

    def __call__(self, x: Float[Array, "n h w channels"]) -> Float[Array, "n classes"]:
        check_images(x, self.channels)
        x = self.relu(self.bn1(self.conv1(x)))
        if self.maxpool is not None:
            x = self.maxpool(x)
        for i in range(len(self.depths)):
            for block in getattr(self, f"layer{i + 1}"):
                x = block(x)
        features = self.avgpool(x)
        if self.fc is None:
            return features
        return self.fc(features)


def resnet18(
    classes: int = 1000,
    *,
    channels: int = 3,
    stem: Literal["imagenet", "cifar"] = "imagenet",
    width: int = 64,
    rngs: nnx.Rngs,
) -> ResNet:
    """ResNet-18, see ``ResNet``: 11,689,512 parameters.

    Args:
      classes: number of outputs.
      channels: of the images.
      stem: as in ``ResNet``.
      width: channels of the stem.
      rngs: the source of the initial weights.

    Returns:
      ResNet.

    Raises:
      ValueError: another stem.

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
    """ResNet-34, see ``ResNet``: 21,797,672 parameters. Arguments: as ``resnet18``."""
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
    """ResNet-50 v1.5, see ``ResNet``: 25,557,032 parameters. Arguments: as ``resnet18``."""
    return ResNet(
        Bottleneck, (3, 4, 6, 3), classes, channels=channels, stem=stem, width=width, rngs=rngs
    )
