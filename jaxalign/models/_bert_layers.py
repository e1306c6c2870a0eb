"""The layers of BERT, with the names of Hugging Face."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float, Int

from jaxalign.models._attention import attend, dropout_layer, layer_norm, require_divisor
from jaxalign.models._layers import Activation

Mask: TypeAlias = Bool[Array, "n t"] | Int[Array, "n t"] | None
"""True or 1 for tokens, False or 0 for padding; None without padding."""

_INITIAL = nnx.initializers.truncated_normal(0.02)


class Residual(NamedTuple):
    """What all layers that add to the residual stream share."""

    width: int
    dropout: float
    epsilon: float


class Embeddings(nnx.Module):
    """The normed sum of token, position and segment embeddings: ids (n, t) → (n, t, d)."""

    def __init__(
        self,
        vocabulary: int,
        positions: int,
        segments: int,
        residual: Residual,
        *,
        rngs: nnx.Rngs,
    ):
        width = residual.width
        self.word_embeddings = nnx.Embed(vocabulary, width, embedding_init=_INITIAL, rngs=rngs)
        self.position_embeddings = nnx.Embed(positions, width, embedding_init=_INITIAL, rngs=rngs)
        self.token_type_embeddings = nnx.Embed(segments, width, embedding_init=_INITIAL, rngs=rngs)
        self.LayerNorm = layer_norm(width, residual.epsilon, rngs=rngs)
        self.dropout = dropout_layer(residual.dropout, rngs=rngs)

    def __call__(
        self, tokens: Int[Array, "n t"], segments: Int[Array, "n t"]
    ) -> Float[Array, "n t d"]:
        positions = jnp.arange(tokens.shape[1])[None, :]
        x = (
            self.word_embeddings(tokens)
            + self.token_type_embeddings(segments)
            + self.position_embeddings(positions)
        )
        return self.dropout(self.LayerNorm(x))


class Heads(nnx.Module):
    """Masked attention, a linear map each for queries, keys, values: (n, t, d) → (n, t, d)."""

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        require_divisor(width, heads)
        self.heads = heads
        self.query = linear(width, width, rngs=rngs)
        self.key = linear(width, width, rngs=rngs)
        self.value = linear(width, width, rngs=rngs)

    def __call__(self, x: Float[Array, "n t d"], mask: Mask) -> Float[Array, "n t d"]:
        return attend(self.query(x), self.key(x), self.value(x), self.heads, mask=mask)


class Output(nnx.Module):
    """norm(dropout(W x + b) + residual), the last layer of both halves of a block."""

    def __init__(self, inputs: int, residual: Residual, *, rngs: nnx.Rngs):
        self.dense = linear(inputs, residual.width, rngs=rngs)
        self.dropout = dropout_layer(residual.dropout, rngs=rngs)
        self.LayerNorm = layer_norm(residual.width, residual.epsilon, rngs=rngs)

    def __call__(
        self, x: Float[Array, "n t c"], residual: Float[Array, "n t d"]
    ) -> Float[Array, "n t d"]:
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class Attention(nnx.Module):
    """The first half of a block."""

    def __init__(self, heads: int, residual: Residual, *, rngs: nnx.Rngs):
        self.self = Heads(residual.width, heads, rngs=rngs)
        self.output = Output(residual.width, residual, rngs=rngs)

    def __call__(self, x: Float[Array, "n t d"], mask: Mask) -> Float[Array, "n t d"]:
        return self.output(self.self(x, mask), x)


class Intermediate(nnx.Module):
    """The first layer of a block's MLP, with its activation."""

    def __init__(
        self, width: int, hidden: int, activation: Callable[[Array], Array], *, rngs: nnx.Rngs
    ):
        self.dense = linear(width, hidden, rngs=rngs)
        self.intermediate_act_fn = Activation(activation)

    def __call__(self, x: Float[Array, "n t d"]) -> Float[Array, "n t c"]:
        return self.intermediate_act_fn(self.dense(x))


class Layer(nnx.Module):
    """A block: attention, then the MLP, each added to its input and normed."""

    def __init__(
        self,
        heads: int,
        hidden: int,
        residual: Residual,
        activation: Callable[[Array], Array],
        *,
        rngs: nnx.Rngs,
    ):
        self.attention = Attention(heads, residual, rngs=rngs)
        self.intermediate = Intermediate(residual.width, hidden, activation, rngs=rngs)
        self.output = Output(hidden, residual, rngs=rngs)

    def __call__(self, x: Float[Array, "n t d"], mask: Mask) -> Float[Array, "n t d"]:
        x = self.attention(x, mask)
        return self.output(self.intermediate(x), x)


class Pooler(nnx.Module):
    """tanh(W φ + b) of the first token's features: (n, t, d) → (n, d)."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.dense = linear(width, width, rngs=rngs)
        self.activation = Activation(jnp.tanh)

    def __call__(self, x: Float[Array, "n t d"]) -> Float[Array, "n d"]:
        return self.activation(self.dense(x[:, 0]))


def linear(inputs: int, outputs: int, *, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear layer with BERT's initial weights."""
    return nnx.Linear(inputs, outputs, kernel_init=_INITIAL, rngs=rngs)
