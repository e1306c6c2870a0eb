"""EfficientNet-Lite 0 to 4: EfficientNet with relu6 and without squeeze-and-excitation.

Stem and head have the same size in all versions. Layers have the names of the published torch
checkpoints. All padding is TensorFlow's "SAME".
"""

import math
from typing import NamedTuple

import jax
from flax import nnx
from jax import Array
from jaxtyping import Float

from jaxalign.models._depthwise import DepthwiseConv
from jaxalign.models._layers import Activation, GlobalAveragePool, check_images, convolution

# Channels of the stem and of the head.
STEM = 32
HEAD = 1280
# Drop-path rate, reached linearly from 0 over the blocks.
DROPPED_PATHS = 0.2


class Stage(NamedTuple):
    """The blocks of one stage of Lite0.

    Attributes:
      blocks: how many.
      size: of their kernels.
      stride: of the first block; the others have stride 1.
      expansion: channels inside a block over its input channels.
      outputs: output channels.
    """

    blocks: int
    size: int
    stride: int
    expansion: int
    outputs: int


class Scaling(NamedTuple):
    """A version of the network.

    Attributes:
      width: factor of the channels.
      depth: factor of the numbers of blocks.
      pixels: side of the images.
      dropout: rate before the last layer.
    """

    width: float
    depth: float
    pixels: int
    dropout: float


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)

SCALINGS = (
    Scaling(1.0, 1.0, 224, 0.2),
    Scaling(1.0, 1.1, 240, 0.2),
    Scaling(1.1, 1.2, 260, 0.3),
    Scaling(1.2, 1.4, 280, 0.3),
    Scaling(1.4, 1.8, 300, 0.3),
)


def scaled_channels(channels: int, factor: float) -> int:
    """The multiple of 8 nearest to channels × factor; the next one if that loses over a tenth."""
    scaled = channels * factor
    nearest = max(8, int(scaled + 4) // 8 * 8)
    if nearest < 0.9 * scaled:
        nearest += 8
    return nearest


def batch_norm(channels: int, *, rngs: nnx.Rngs) -> nnx.BatchNorm:
    return nnx.BatchNorm(channels, momentum=0.99, epsilon=1e-3, rngs=rngs)


class Block(nnx.Module):
    """An inverted bottleneck: 1×1 convolution to more channels, depthwise, 1×1 to fewer.

    The input is added if the shapes agree. The output has no activation. In training mode,
    ``drop_path`` drops the whole branch for some samples.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        size: int,
        stride: int,
        expansion: int,
        drop_path: float,
        rngs: nnx.Rngs,
    ):
        width = inputs * expansion
        self.expands = expansion != 1
        self.adds = stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv = convolution(inputs, width, 1, rngs=rngs)
            self._bn0 = batch_norm(width, rngs=rngs)
            self.expand_relu6 = Activation(jax.nn.relu6)
        self._depthwise_conv = DepthwiseConv(width, size, stride=stride, rngs=rngs)
        self._bn1 = batch_norm(width, rngs=rngs)
        self.depthwise_relu6 = Activation(jax.nn.relu6)
        self._project_conv = convolution(width, outputs, 1, rngs=rngs)
        self._bn2 = batch_norm(outputs, rngs=rngs)
        if self.adds:
            self.drop_path = nnx.Dropout(drop_path, broadcast_dims=(1, 2, 3), rngs=rngs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n p q k"]:
        y = x
        if self.expands:
            y = self.expand_relu6(self._bn0(self._expand_conv(y)))
        y = self.depthwise_relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        if self.adds:
            y = x + self.drop_path(y)
        return y


class EfficientNetLite(nnx.Module):
    """Stem, seven stages of inverted bottlenecks, 1×1 convolution, global mean, linear layer.

    Args:
      scaling: width, depth and dropout of a version, which ``efficientnet_lite`` chooses by its
        number. Images may have any size.
      classes: number of outputs.
      channels: of the images.
      rngs: the source of the initial weights (He-normal) and of dropout.

    Raises:
      ValueError: when called, an array that is not a batch of images (n, h, w, channels).

    Example:
      >>> from flax import nnx
      >>> from jaxalign.models import efficientnet_lite
      >>> model = nnx.eval_shape(lambda: efficientnet_lite(0, rngs=nnx.Rngs(0)))
      >>> len(model._blocks), model._fc.kernel.shape, model.post_activations[:2]
      (16, (1280, 1000), ('stem_relu6', '_blocks.0'))

    Source: Tan, Le, EfficientNet (ICML 2019); its Lite versions are TensorFlow's (2020).
    """

    def __init__(self, scaling: Scaling, classes: int, *, channels: int = 3, rngs: nnx.Rngs):
        self.channels = channels
        self._conv_stem = convolution(channels, STEM, 3, stride=2, padding="SAME", rngs=rngs)
        self._bn0 = batch_norm(STEM, rngs=rngs)
        self.stem_relu6 = Activation(jax.nn.relu6)
        plan = _plan(scaling)
        blocks: list[Block] = []
        inputs = STEM
        for i, (size, stride, expansion, outputs) in enumerate(plan):
            block = Block(
                inputs,
                outputs,
                size=size,
                stride=stride,
                expansion=expansion,
                drop_path=DROPPED_PATHS * i / len(plan),
                rngs=rngs,
            )
            blocks.append(block)
            inputs = outputs
        self._blocks = nnx.List(blocks)
        self._conv_head = convolution(inputs, HEAD, 1, rngs=rngs)
        self._bn1 = batch_norm(HEAD, rngs=rngs)
        self.head_relu6 = Activation(jax.nn.relu6)
        self._avg_pooling = GlobalAveragePool()
        self._dropout = nnx.Dropout(scaling.dropout, rngs=rngs)
        self._fc = nnx.Linear(HEAD, classes, rngs=rngs)

    @property
    def post_activations(self) -> tuple[str, ...]:
        """Stem, blocks and head; a block's output is the next block's input, without activation."""
        return "stem_relu6", *(f"_blocks.{i}" for i in range(len(self._blocks))), "head_relu6"

    def __call__(self, x: Float[Array, "n h w channels"]) -> Float[Array, "n classes"]:
        check_images(x, self.channels)
        x = self.stem_relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = self.head_relu6(self._bn1(self._conv_head(x)))
        return self._fc(self._dropout(self._avg_pooling(x)))


def _plan(scaling: Scaling) -> list[tuple[int, int, int, int]]:
    """(kernel size, stride, expansion, output channels) of every block."""
    plan = []
    for i, stage in enumerate(STAGES):
        blocks = stage.blocks
        # The first and the last stage keep their depth in all versions.
        if 0 < i < len(STAGES) - 1:
            blocks = math.ceil(stage.blocks * scaling.depth)
        outputs = scaled_channels(stage.outputs, scaling.width)
        first = (stage.size, stage.stride, stage.expansion, outputs)
        other = (stage.size, 1, stage.expansion, outputs)
        plan += [first, *[other] * (blocks - 1)]
    return plan


def efficientnet_lite(
    version: int, classes: int = 1000, *, channels: int = 3, rngs: nnx.Rngs
) -> EfficientNetLite:
    """EfficientNet-Lite0 to 4, see ``EfficientNetLite``: 4.7, 5.4, 6.1, 8.2, 13.0 million
    parameters.

    Args:
      version: 0 to 4, published for images of 224, 240, 260, 280, 300 pixels with values
        (x − 127)/128.
      classes: number of outputs.
      channels: of the images.
      rngs: the source of the initial weights and of dropout.

    Returns:
      EfficientNetLite.

    Raises:
      ValueError: another version.

    Example:
      >>> from flax import nnx
      >>> from jaxalign.models import efficientnet_lite
      >>> model = nnx.eval_shape(lambda: efficientnet_lite(2, rngs=nnx.Rngs(0)))
      >>> len(model._blocks), model._blocks[20]._project_conv.kernel.shape
      (21, (1, 1, 1248, 352))

    Source: Tan, Le, EfficientNet (ICML 2019); its Lite versions are TensorFlow's (2020).
    """
    if version not in range(len(SCALINGS)):
        raise ValueError(f"version must be 0 to {len(SCALINGS) - 1}, found {version!r}")
    return EfficientNetLite(SCALINGS[version], classes, channels=channels, rngs=rngs)
