"""A small decoder-only transformer, the plainest form of the field's language models."""

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign.models._attention import PreNormBlock, dropout_layer, layer_norm
from jaxalign.models._tokens import check_tokens

EPSILON = 1e-5


class Decoder(nnx.Module):
    """Embeddings, causal pre-norm blocks, a norm, tied logits: (n, t) ids → (n, t, v).

    The logits are products with the token embeddings.

    Args:
      vocabulary: v, number of different tokens.
      width: d, features of a token.
      depth: number of blocks.
      heads: of the attention, a divisor of d.
      positions: the largest number of tokens of a text.
      hidden: units of the blocks' MLPs; by default 4 d.
      dropout: the share of values dropped in training mode (attention weights are never dropped).
      rngs: the source of the initial weights (LeCun normal; positions 0.02) and of dropout.

    Raises:
      ValueError: heads that do not divide the width; when called, an array that is not a batch of
        ids.
      TypeError: when called, ids that are not integers.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.models import Decoder
      >>> model = nnx.eval_shape(lambda: Decoder(50, 8, 2, 2, positions=16, rngs=nnx.Rngs(0)))
      >>> tap = ja.tap(model, model.post_activations)
      >>> tokens = jnp.zeros((4, 5), int)
      >>> logits, activations = jax.eval_shape(tap, nnx.state(model), tokens)  # shapes alone
      >>> logits.shape, {name: a.shape for name, a in activations.items()}  # for reduce="samples"
      ((4, 5, 50), {'blocks.0': (4, 5, 8), 'blocks.1': (4, 5, 8), 'ln': (4, 5, 8)})

    Source: Radford et al., Language Models are Unsupervised Multitask Learners (2019), with the
      exact GELU.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        depth: int,
        heads: int,
        *,
        positions: int = 256,
        hidden: int | None = None,
        dropout: float = 0.0,
        rngs: nnx.Rngs,
    ):
        self.vocabulary = vocabulary
        self.positions = positions
        self.depth = depth
        self.token_embedding = nnx.Embed(vocabulary, width, rngs=rngs)
        self.position_embedding = nnx.Embed(
            positions, width, embedding_init=nnx.initializers.normal(0.02), rngs=rngs
        )
        self.dropout = dropout_layer(dropout, rngs=rngs)

        def block() -> PreNormBlock:
            return PreNormBlock(
                width,
                heads,
                hidden or 4 * width,
                epsilon=EPSILON,
                causal=True,
                dropout=dropout,
                rngs=rngs,
            )

        self.blocks = nnx.List([block() for _ in range(depth)])
        self.ln = layer_norm(width, EPSILON, rngs=rngs)

    @property
    def post_activations(self) -> tuple[str, ...]:
        """The blocks, and the last norm, from which the logits are made; outputs are (n, t, d)."""
        return (*(f"blocks.{i}" for i in range(self.depth)), "ln")

    def __call__(self, tokens: ArrayLike) -> Float[Array, "n t v"]:
        tokens = jnp.asarray(tokens)
        check_tokens(tokens, self.vocabulary, self.positions)
        positions = jnp.arange(tokens.shape[1])[None, :]
        x = self.dropout(self.token_embedding(tokens) + self.position_embedding(positions))
        for block in self.blocks:
            x = block(x)
        return self.token_embedding.attend(self.ln(x))
