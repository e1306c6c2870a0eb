"""The shipped architectures by name, and what each is built for."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from jaxalign import models
from jaxalign.cli.choices import Activation
from jaxalign.models._efficientnet_lite import SCALINGS

SMALL = 64
"""Images up to so many pixels are not shrunk by a network's first layer."""

ACTIVATIONS: dict[Activation, Callable] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "linear": lambda x: x,
}


@dataclass(frozen=True)
class Architecture:
    """What a shipped architecture is built for.

    Attributes:
      shape: of one input as the data have it.
      outputs: their number.
      widths: of the hidden layers, where they can be chosen.
      activation: of the hidden layers, where it can be chosen.
      published: whether published weights go in: three channels, the full-size stem.
    """

    shape: tuple[int, ...]
    outputs: int
    widths: tuple[int, ...]
    activation: Activation
    published: bool

    @property
    def channels(self) -> int:
        """Of a network for images."""
        if self.published:
            return 3
        return self.shape[2] if len(self.shape) == 3 else 1

    @property
    def stem(self) -> Literal["imagenet", "cifar"]:
        """How a network for images begins: one for large images shrinks them."""
        return "imagenet" if self.published or min(self.shape[:2]) > SMALL else "cifar"


Builder = Callable[[Architecture, nnx.Rngs], nnx.Module]


def _mlp(a: Architecture, rngs: nnx.Rngs) -> nnx.Module:
    activation = ACTIVATIONS[a.activation]
    return models.MLP(prod(a.shape), a.widths, a.outputs, activation=activation, rngs=rngs)


def _cnn(a: Architecture, rngs: nnx.Rngs) -> nnx.Module:
    height, width = a.shape[:2]
    return models.CNN((height, width, a.channels), (32, 64), 128, a.outputs, rngs=rngs)


def _resnet(make_resnet: Callable[..., nnx.Module]) -> Builder:
    def build(a: Architecture, rngs: nnx.Rngs) -> nnx.Module:
        return make_resnet(a.outputs, stem=a.stem, channels=a.channels, rngs=rngs)

    return build


def _convolutional(make_network: Callable[..., nnx.Module], **settings: Any) -> Builder:
    def build(a: Architecture, rngs: nnx.Rngs) -> nnx.Module:
        return make_network(a.outputs, channels=a.channels, rngs=rngs, **settings)

    return build


def _efficientnet_lite(version: int) -> Builder:
    def build(a: Architecture, rngs: nnx.Rngs) -> nnx.Module:
        return models.efficientnet_lite(version, a.outputs, channels=a.channels, rngs=rngs)

    return build


def _vit(make_vit: Callable[..., nnx.Module]) -> Builder:
    def build(a: Architecture, rngs: nnx.Rngs) -> nnx.Module:
        return make_vit(a.outputs, image=a.shape[0], rngs=rngs)

    return build


SHIPPED: dict[str, Builder] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "resnet18": _resnet(models.resnet18),
    "resnet34": _resnet(models.resnet34),
    "resnet50": _resnet(models.resnet50),
    "vgg11": _convolutional(models.vgg11),
    "vgg11_bn": _convolutional(models.vgg11, batch_norm=True),
    "vgg16": _convolutional(models.vgg16),
    "vgg16_bn": _convolutional(models.vgg16, batch_norm=True),
    "squeezenet1_1": _convolutional(models.SqueezeNet),
    **{f"efficientnet_lite{version}": _efficientnet_lite(version) for version in range(5)},
    "vit_s_16": _vit(models.vit_s_16),
    "vit_b_16": _vit(models.vit_b_16),
}

PUBLISHED_PIXELS = {
    **{name: 224 for name in SHIPPED if name not in ("mlp", "cnn")},
    **{f"efficientnet_lite{i}": scaling.pixels for i, scaling in enumerate(SCALINGS)},
}
"""The side of the images that an architecture was published with."""
