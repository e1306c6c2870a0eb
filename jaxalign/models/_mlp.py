"""A multilayer perceptron whose layers are its post-activations, which alignment is measured on."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx
from jax import Array
from jaxtyping import Float, Num


class Dense(nnx.Linear):
    """A linear layer with its activation, φ(x W + b): its output is the post-activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        activation: Callable[[Array], Array],
        *,
        bias: bool,
        rngs: nnx.Rngs,
    ):
        super().__init__(inputs, outputs, use_bias=bias, rngs=rngs)
        self.activation = activation

    def __call__(
        self, inputs: Float[Array, "n d"], out_sharding: Any = None
    ) -> Float[Array, "n k"]:
        return self.activation(super().__call__(inputs, out_sharding))


class MLP(nnx.Module):
    """inputs → widths → outputs; the layers are ``hidden_1``, ``hidden_2``, ..., ``logits``.

    Args:
      inputs: number of input features; inputs of rank > 2 are flattened.
      widths: units of each hidden layer.
      outputs: number of outputs, linear.
      activation: of the hidden layers.
      bias: whether hidden layers have a bias; the output layer always has. The authors' demo has
        no bias in hidden layers.
      rngs: the source of the initial weights (LeCun normal).

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
      (128,) * 3, 1)``.
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
        rngs: nnx.Rngs,
    ):
        sizes = (inputs, *widths)
        self.depth = len(widths)
        for i in range(self.depth):
            layer = Dense(sizes[i], sizes[i + 1], activation, bias=bias, rngs=rngs)
            setattr(self, f"hidden_{i + 1}", layer)
        self.logits = nnx.Linear(sizes[-1], outputs, rngs=rngs)

    def __call__(self, x: Num[Array, "n ..."]) -> Float[Array, "n outputs"]:
        x = x.reshape(x.shape[0], -1)
        for i in range(self.depth):
            x = getattr(self, f"hidden_{i + 1}")(x)
        return self.logits(x)
