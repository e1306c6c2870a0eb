"""A small convolutional network whose layers are its post-activations."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import jax
from flax import nnx
from jax import Array
from jaxtyping import Float, Num

from jaxalign.models._initialization import (
    LECUN_NORMAL,
    Initialization,
    require_initialization,
)
from jaxalign.models._layers import MaxPool
from jaxalign.models._mlp import Dense, output_layer


class ConvBlock(nnx.Conv):
    """A 3×3 convolution with its activation inside, φ(x ∗ W + b)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        activation: Callable[[Array], Array],
        *,
        initialization: Initialization,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            inputs,
            outputs,
            (3, 3),
            padding=1,
            kernel_init=initialization.kernel,
            bias_init=initialization.bias(3 * 3 * inputs),
            rngs=rngs,
        )
        self.activation = activation

    def __call__(
        self, inputs: Float[Array, "n h w c"], out_sharding: Any = None
    ) -> Float[Array, "n h w k"]:
        return self.activation(super().__call__(inputs, out_sharding))


class CNN(nnx.Module):
    """3×3 convolutions, each followed by a 2×2 pool; a hidden linear layer; a linear output layer.

    The layers are ``conv_1``, ``pool_1``, ``conv_2``, ..., ``hidden``, ``logits``.

    Args:
      image: (height, width, channels) of one image; the inputs are reshaped to it.
      widths: channels of each convolution.
      hidden: units of the hidden layer.
      outputs: number of outputs, linear.
      activation: of the convolutions and the hidden layer.
      initialization: how weights and biases are drawn, ``lecun_normal()`` as in flax.
      rngs: the source of the initial weights.

    Raises:
      TypeError: an initialization that is none.
      ValueError: an image too small for the pools.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.models import CNN
      >>> model = nnx.eval_shape(lambda: CNN((28, 28, 1), (8, 16), 32, 10, rngs=nnx.Rngs(0)))
      >>> tap = ja.tap(model, model.post_activations)
      >>> images = jnp.ones((5, 28, 28))
      >>> output, activations = jax.eval_shape(tap, nnx.state(model), images)  # shapes alone
      >>> {name: a.shape for name, a in activations.items()}
      {'conv_1': (5, 28, 28, 8), 'conv_2': (5, 14, 14, 16), 'hidden': (5, 32)}

    Source: LeCun et al., Gradient-based learning applied to document recognition (1998); relu and
      max pools instead of its activations and pools.
    """

    post_activations = ("conv_*", "hidden")

    def __init__(
        self,
        image: tuple[int, int, int],
        widths: Sequence[int],
        hidden: int,
        outputs: int,
        *,
        activation: Callable[[Array], Array] = jax.nn.relu,
        initialization: Initialization = LECUN_NORMAL,
        rngs: nnx.Rngs,
    ):
        require_initialization(initialization)
        height, width, channels = image
        self.image = tuple(image)
        self.depth = len(widths)
        if min(height, width) < 2**self.depth:
            raise ValueError(
                f"image {self.image} must have at least {2**self.depth} pixels a side "
                f"for the {self.depth} pools of widths"
            )
        sizes = (channels, *widths)
        for i in range(self.depth):
            block = ConvBlock(
                sizes[i], sizes[i + 1], activation, initialization=initialization, rngs=rngs
            )
            setattr(self, f"conv_{i + 1}", block)
            setattr(self, f"pool_{i + 1}", MaxPool(2, 2))
        # Each pool halves both sides, rounding down.
        flat = prod((height >> self.depth, width >> self.depth, sizes[-1]))
        self.hidden = Dense(
            flat, hidden, activation, bias=True, initialization=initialization, rngs=rngs
        )
        self.logits = output_layer(hidden, outputs, initialization, rngs=rngs)

    def __call__(self, x: Num[Array, "n ..."]) -> Float[Array, "n outputs"]:
        x = x.reshape(x.shape[0], *self.image)
        for i in range(self.depth):
            x = getattr(self, f"pool_{i + 1}")(getattr(self, f"conv_{i + 1}")(x))
        return self.logits(self.hidden(x.reshape(x.shape[0], -1)))
