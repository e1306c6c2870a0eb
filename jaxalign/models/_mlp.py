"""A multilayer perceptron whose layers are its post-activations: what the measure is about."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx
from jax import Array


class Dense(nnx.Linear):
    """A linear layer with its activation inside, φ(x W + b): capturing its output captures the
    post-activation.
    """

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

    def __call__(self, inputs: Array, out_sharding: Any = None) -> Array:
        return self.activation(super().__call__(inputs, out_sharding))


class MLP(nnx.Module):
    """inputs → widths → outputs; the layers are ``hidden_1``, ``hidden_2``, ..., ``logits``.

    Args:
      inputs: number of input features; inputs of rank > 2 are flattened.
      widths: units of each hidden layer.
      outputs: number of outputs, linear.
      activation: of the hidden layers.
      bias: whether hidden layers have one; the output layer always does. The authors' demo has
        none.
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
            setattr(
                self,
                f"hidden_{i + 1}",
                Dense(sizes[i], sizes[i + 1], activation, bias=bias, rngs=rngs),
            )
        self.logits = nnx.Linear(sizes[-1], outputs, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        x = x.reshape(x.shape[0], -1)
        for i in range(self.depth):
            x = getattr(self, f"hidden_{i + 1}")(x)
        return self.logits(x)
