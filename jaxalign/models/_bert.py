"""The BERT encoder with the layer names of Hugging Face, MiniLM, and sentence embeddings."""

from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from jaxalign._features import prepare
from jaxalign.models._attention import attend, dropout_layer, gelu, layer_norm, require_divisor
from jaxalign.models._layers import Activation
from jaxalign.models._tokens import check_tokens

OLD_NAMES = (
    (r"^bert\.", r""),
    (r"\.LayerNorm\.gamma$", r".LayerNorm.weight"),
    (r"\.LayerNorm\.beta$", r".LayerNorm.bias"),
    (r"^cls\..*$", r""),
)
"""(regex, replacement), applied in this order, from names in BERT checkpoints to those of ``BERT``.

Covers old checkpoints too. ``cls`` holds the heads of the pre-training tasks; an empty replacement
drops them.
"""

EPSILON = 1e-12
Mask: TypeAlias = Bool[Array, "n t"] | Int[Array, "n t"] | None
"""True or 1 for tokens, False or 0 for padding; None without padding."""

_INITIAL = nnx.initializers.truncated_normal(0.02)


class Encoded(NamedTuple):
    """The encoder's output for a batch of texts.

    Attributes:
      tokens: (n, t, d) the last layer's features of every token.
      pooled: (n, d) tanh(W φ + b) of the first token, or None without a pooler.
    """

    tokens: Float[Array, "n t d"]
    pooled: Float[Array, "n d"] | None


class BERT(nnx.Module):
    """Embeddings, then post-norm blocks of masked attention: (n, t) ids → (n, t, d).

    The embeddings are the sum of those of token, position and segment.

    Args:
      vocabulary: number of different tokens.
      width: d, features of a token.
      depth: number of blocks.
      heads: of the attention, a divisor of d.
      positions: the largest number of tokens of a text.
      segments: number of token types.
      hidden: units of the blocks' MLPs; by default 4 d.
      pooler: whether there is a layer on the first token's features; some checkpoints have none.
      dropout: the share of values dropped in training mode, after the embeddings and before each
        addition (attention weights are never dropped).
      rngs: the source of the initial weights (normal, standard deviation 0.02) and of dropout.

    Raises:
      ValueError: heads that do not divide the width; when called, an array that is no batch of
        ids, or a mask of another shape.
      TypeError: when called, ids that are not integers.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.models import BERT
      >>> model = nnx.eval_shape(lambda: BERT(100, 8, 2, 2, positions=16, rngs=nnx.Rngs(0)))
      >>> tokens, mask = jnp.array([[1, 7, 2], [1, 2, 0]]), jnp.array([[1, 1, 1], [1, 1, 0]])
      >>> tap = ja.tap(model, model.post_activations)
      >>> output, activations = jax.eval_shape(tap, nnx.state(model), tokens, mask)  # shapes alone
      >>> {name: a.shape for name, a in activations.items()}  # for reduce="mean", mask=mask
      {'embeddings': (2, 3, 8), 'encoder.layer.0': (2, 3, 8), 'encoder.layer.1': (2, 3, 8)}

    Source: Devlin et al., BERT (NAACL 2019); names of Hugging Face's BertModel.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        depth: int,
        heads: int,
        *,
        positions: int = 512,
        segments: int = 2,
        hidden: int | None = None,
        pooler: bool = True,
        dropout: float = 0.0,
        rngs: nnx.Rngs,
    ):
        self.vocabulary = vocabulary
        self.positions = positions
        self.depth = depth
        self.embeddings = Embeddings(
            vocabulary, positions, segments, width, dropout=dropout, rngs=rngs
        )
        layers = [
            Layer(width, heads, hidden or 4 * width, dropout=dropout, rngs=rngs)
            for _ in range(depth)
        ]
        self.encoder = nnx.Dict(layer=nnx.List(layers))
        self.pooler = Pooler(width, rngs=rngs) if pooler else None

    @property
    def post_activations(self) -> tuple[str, ...]:
        """The embeddings and the outputs of the blocks, each (n, t, d), the [CLS] token first."""
        return ("embeddings", *(f"encoder.layer.{i}" for i in range(self.depth)))

    def __call__(
        self, tokens: ArrayLike, mask: ArrayLike | None = None, segments: ArrayLike | None = None
    ) -> Encoded:
        """The features of tokens (n, t).

        Args:
          tokens: (n, t) ids.
          mask: (n, t), 0 or False for padding; by default there is none.
          segments: (n, t), 0 for a first text, 1 for a second; by default all are of the first.
        """
        tokens = jnp.asarray(tokens)
        if mask is not None:
            mask = jnp.asarray(mask)
        check_tokens(tokens, self.vocabulary, self.positions, mask)
        if segments is None:
            segments = jnp.zeros_like(tokens)
        x = self.embeddings(tokens, jnp.asarray(segments))
        for layer in self.encoder.layer:
            x = layer(x, mask)
        return Encoded(x, None if self.pooler is None else self.pooler(x))


class Embeddings(nnx.Module):
    """The normed sum of token, position and segment embeddings: ids (n, t) → (n, t, d)."""

    def __init__(
        self,
        vocabulary: int,
        positions: int,
        segments: int,
        width: int,
        *,
        dropout: float,
        rngs: nnx.Rngs,
    ):
        self.word_embeddings = nnx.Embed(vocabulary, width, embedding_init=_INITIAL, rngs=rngs)
        self.position_embeddings = nnx.Embed(positions, width, embedding_init=_INITIAL, rngs=rngs)
        self.token_type_embeddings = nnx.Embed(segments, width, embedding_init=_INITIAL, rngs=rngs)
        self.LayerNorm = layer_norm(width, EPSILON, rngs=rngs)
        self.dropout = dropout_layer(dropout, rngs=rngs)

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
        self.query = _linear(width, width, rngs=rngs)
        self.key = _linear(width, width, rngs=rngs)
        self.value = _linear(width, width, rngs=rngs)

    def __call__(self, x: Float[Array, "n t d"], mask: Mask) -> Float[Array, "n t d"]:
        return attend(self.query(x), self.key(x), self.value(x), self.heads, mask=mask)


class Output(nnx.Module):
    """norm(dropout(W x + b) + residual), the last layer of both halves of a block."""

    def __init__(self, inputs: int, width: int, *, dropout: float, rngs: nnx.Rngs):
        self.dense = _linear(inputs, width, rngs=rngs)
        self.dropout = dropout_layer(dropout, rngs=rngs)
        self.LayerNorm = layer_norm(width, EPSILON, rngs=rngs)

    def __call__(
        self, x: Float[Array, "n t c"], residual: Float[Array, "n t d"]
    ) -> Float[Array, "n t d"]:
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class Attention(nnx.Module):
    """The first half of a block."""

    def __init__(self, width: int, heads: int, *, dropout: float, rngs: nnx.Rngs):
        self.self = Heads(width, heads, rngs=rngs)
        self.output = Output(width, width, dropout=dropout, rngs=rngs)

    def __call__(self, x: Float[Array, "n t d"], mask: Mask) -> Float[Array, "n t d"]:
        return self.output(self.self(x, mask), x)


class Intermediate(nnx.Module):
    """The first layer of a block's MLP, with its GELU."""

    def __init__(self, width: int, hidden: int, *, rngs: nnx.Rngs):
        self.dense = _linear(width, hidden, rngs=rngs)
        self.intermediate_act_fn = Activation(gelu)

    def __call__(self, x: Float[Array, "n t d"]) -> Float[Array, "n t c"]:
        return self.intermediate_act_fn(self.dense(x))


class Layer(nnx.Module):
    """A block: attention, then the MLP, each added to its input and normed."""

    def __init__(self, width: int, heads: int, hidden: int, *, dropout: float, rngs: nnx.Rngs):
        self.attention = Attention(width, heads, dropout=dropout, rngs=rngs)
        self.intermediate = Intermediate(width, hidden, rngs=rngs)
        self.output = Output(hidden, width, dropout=dropout, rngs=rngs)

    def __call__(self, x: Float[Array, "n t d"], mask: Mask) -> Float[Array, "n t d"]:
        x = self.attention(x, mask)
        return self.output(self.intermediate(x), x)


class Pooler(nnx.Module):
    """tanh(W φ + b) of the first token's features: (n, t, d) → (n, d)."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.dense = _linear(width, width, rngs=rngs)
        self.activation = Activation(jnp.tanh)

    def __call__(self, x: Float[Array, "n t d"]) -> Float[Array, "n d"]:
        return self.activation(self.dense(x[:, 0]))


def _linear(inputs: int, outputs: int, *, rngs: nnx.Rngs) -> nnx.Linear:
    return nnx.Linear(inputs, outputs, kernel_init=_INITIAL, rngs=rngs)


def bert_base(*, dropout: float = 0.0, rngs: nnx.Rngs) -> BERT:
    """BERT-base, uncased, see ``BERT``: 109,482,240 parameters. Example: as ``minilm_l6``.

    Source: Devlin et al., BERT (NAACL 2019).
    """
    return BERT(30522, 768, 12, 12, dropout=dropout, rngs=rngs)


def minilm_l6(*, dropout: float = 0.0, rngs: nnx.Rngs) -> BERT:
    """MiniLM-L6-H384, the encoder of all-MiniLM-L6-v2, see ``BERT``: 22,713,216 parameters.

    Example:
      >>> from flax import nnx
      >>> from jaxalign.models import minilm_l6
      >>> model = nnx.eval_shape(lambda: minilm_l6(rngs=nnx.Rngs(0)))
      >>> model.embeddings.word_embeddings.embedding.shape
      (30522, 384)

    Source: Wang et al., MiniLM (NeurIPS 2020).
    """
    return BERT(30522, 384, 6, 12, dropout=dropout, rngs=rngs)


def embed(model: BERT, tokens: ArrayLike, mask: ArrayLike) -> Float[Array, "n d"]:
    """Embeddings of texts: the mean of the last layer's features over tokens, scaled to norm one.

    Args:
      model: the encoder; all-MiniLM-L6-v2 is ``minilm_l6`` with its weights.
      tokens: (n, t) ids, from ``WordPiece``.
      mask: (n, t), True or 1 for tokens, False or 0 for padding, which the mean leaves out.

    Returns:
      (n, d); the product of two rows is their cosine similarity.

    Raises:
      ValueError: ids that the model does not accept; a mask of another shape, with other values, or
        with a row without tokens (eager calls).

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxalign.models import BERT, embed
      >>> model = nnx.eval_shape(lambda: BERT(100, 8, 1, 2, rngs=nnx.Rngs(0)))
      >>> tokens, mask = jnp.array([[1, 7, 2], [1, 2, 0]]), jnp.array([[1, 1, 1], [1, 1, 0]])
      >>> nnx.eval_shape(embed, model, tokens, mask).shape  # shapes alone
      (2, 8)

    Source: Reimers, Gurevych, Sentence-BERT (EMNLP 2019).
    """
    embeddings = prepare(model(tokens, mask).tokens, bias=False, reduce="mean", mask=mask)
    return jnp.asarray(embeddings)
