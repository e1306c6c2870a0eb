"""A multilayer perceptron whose layers are its post-activations, which alignment is measured on."""

from collections.abc import Callable, Sequence
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


class Dense(nnx.Linear):
    """A linear layer with its activation, φ(x W + b): its output is the post-activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        activation: Callable[[Array], Array],
        *,
        bias: bool,
        initialization: Initialization,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            inputs,
            outputs,
            use_bias=bias,
            kernel_init=initialization.kernel,
            bias_init=initialization.bias(inputs),
            rngs=rngs,
        )
        self.activation = activation

    def __call__(
        self, inputs: Float[Array, "n d"], out_sharding: Any = None
    ) -> Float[Array, "n k"]:
        return self.activation(super().__call__(inputs, out_sharding))


def output_layer(
    inputs: int, outputs: int, initialization: Initialization, *, rngs: nnx.Rngs
) -> nnx.Linear:
    """The linear layer that ends a network, with a bias."""
    return nnx.Linear(
        inputs,
        outputs,
        kernel_init=initialization.kernel,
        bias_init=initialization.bias(inputs),
        rngs=rngs,
    )


class MLP(nnx.Module):
    """inputs → widths → outputs; the layers are ``hidden_1``, ``hidden_2``, ..., ``logits``.

    Args:
      inputs: number of input features; inputs of rank > 2 are flattened.
      widths: units of each hidden layer.
      outputs: number of outputs, linear.
      activation: of the hidden layers.
      bias: whether hidden layers have a bias; the output layer always has. The authors' demo has
        no bias in hidden layers.
      initialization: how weights and biases are drawn, ``lecun_normal()`` as in flax; the authors'
        demo has torch's, ``torch_uniform()``.
      rngs: the source of the initial weights.

    Raises:
      TypeError: an initialization that is none.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.models import MLP
      >>> model = MLP(784, (128, 128), 1, rngs=nnx.Rngs(0))
      >>> output, activations = ja.tap(model)(nnx.state(model), jnp.ones((5, 28, 28)))
      >>> {name: a.shape for name, a in activations.items()}
      {'hidden_1': (5, 128), 'hidden_2': (5, 128), 'logits': (5, 1)}

    Source: the network of the authors' demo notebook (Imani, Hu, White, TMLR 2022) is ``MLP(3072,
      (128,) * 3, 1, initialization=torch_uniform())``.
    """

    post_activations = ("hidden_*",)

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        outputs: int,
        *,
        activation: Callable[[Array], Array] = jax.nn.relu,
        bias: bool = False,
        initialization: Initialization = LECUN_NORMAL,
        rngs: nnx.Rngs,
    ):
        require_initialization(initialization)
        sizes = (inputs, *widths)
        self.depth = len(widths)
        for i in range(self.depth):
            layer = Dense(
                sizes[i],
                sizes[i + 1],
                activation,
                bias=bias,
                initialization=initialization,
                rngs=rngs,
            )
            setattr(self, f"hidden_{i + 1}", layer)
        self.logits = output_layer(sizes[-1], outputs, initialization, rngs=rngs)

    def __call__(self, x: Num[Array, "n ..."]) -> Float[Array, "n outputs"]:
        x = x.reshape(x.shape[0], -1)
        for i in range(self.depth):
            x = getattr(self, f"hidden_{i + 1}")(x)
        return self.logits(x)
