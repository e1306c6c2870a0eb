"""The BERT encoder with the layer names of Hugging Face, its small relative MiniLM, and sentence
embeddings.
"""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import ArrayLike

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
"""(regex, replacement), all applied in this order, from the names in BERT checkpoints, old ones
too, to those of ``BERT``.

A name that becomes empty is none of the encoder's: ``cls`` holds the heads of the pre-training
tasks.
"""

EPSILON = 1e-12
_INITIAL = nnx.initializers.truncated_normal(0.02)


class Encoded(NamedTuple):
    """What the encoder makes of a batch of texts.

    Attributes:
      tokens: (n, t, d) the last layer's features of every token.
      pooled: (n, d) tanh(W φ + b) of the first token, or None without a pooler.
    """

    tokens: Array
    pooled: Array | None


class BERT(nnx.Module):
    """Token, position and segment embeddings, then post-norm blocks of masked attention: (n, t) ids
    → (n, t, d).

    Args:
      vocabulary: number of different tokens.
      width: d, features of a token.
      depth: number of blocks.
      heads: of the attention, a divisor of d.
      positions: the greatest number of tokens of a text.
      segments: number of token types.
      hidden: units of the blocks' MLPs; by default 4 d.
      pooler: whether there is a layer on the first token's features; some checkpoints have none.
      dropout: the share of values dropped in training mode, after the embeddings and before each
        addition (attention weights never are).
      rngs: the source of the initial weights (normal, standard deviation 0.02) and of dropout.

    Raises:
      ValueError: heads that do not divide the width; when called, what is no batch of ids, or a
        mask of another shape.
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
      >>> {name: a.shape for name, a in activations.items()}  # for prepare(reduce="mean", mask=mask)
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
        """The features of tokens (n, t): mask is 0 for padding, segments 1 for a second text; by
        default 1s and 0s.
        """
        tokens = jnp.asarray(tokens)
        mask = None if mask is None else jnp.asarray(mask)
        check_tokens(tokens, self.vocabulary, self.positions, mask)
        x = self.embeddings(
            tokens, jnp.zeros_like(tokens) if segments is None else jnp.asarray(segments)
        )
        for layer in self.encoder.layer:
            x = layer(x, mask)
        return Encoded(x, None if self.pooler is None else self.pooler(x))


class Embeddings(nnx.Module):
    """Norm of token + position + segment: two (n, t) arrays of ids → (n, t, d)."""

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

    def __call__(self, tokens: Array, segments: Array) -> Array:
        places = jnp.arange(tokens.shape[1])
        x = (
            self.word_embeddings(tokens)
            + self.token_type_embeddings(segments)
            + self.position_embeddings(places)
        )
        return self.dropout(self.LayerNorm(x))


class Heads(nnx.Module):
    """Masked attention with queries, keys and values of one linear map each: (n, t, d) → (n, t, d)."""

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        require_divisor(width, heads)
        self.heads = heads
        self.query = _linear(width, width, rngs=rngs)
        self.key = _linear(width, width, rngs=rngs)
        self.value = _linear(width, width, rngs=rngs)

    def __call__(self, x: Array, mask: Array | None) -> Array:
        return attend(self.query(x), self.key(x), self.value(x), self.heads, mask=mask)


class Output(nnx.Module):
    """norm(dropout(W x + b) + residual), the end of both halves of a block."""

    def __init__(self, inputs: int, width: int, *, dropout: float, rngs: nnx.Rngs):
        self.dense = _linear(inputs, width, rngs=rngs)
        self.dropout = dropout_layer(dropout, rngs=rngs)
        self.LayerNorm = layer_norm(width, EPSILON, rngs=rngs)

    def __call__(self, x: Array, residual: Array) -> Array:
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class Attention(nnx.Module):
    """The first half of a block."""

    def __init__(self, width: int, heads: int, *, dropout: float, rngs: nnx.Rngs):
        self.self = Heads(width, heads, rngs=rngs)
        self.output = Output(width, width, dropout=dropout, rngs=rngs)

    def __call__(self, x: Array, mask: Array | None) -> Array:
        return self.output(self.self(x, mask), x)


class Intermediate(nnx.Module):
    """The wide layer of a block's MLP with its GELU."""

    def __init__(self, width: int, hidden: int, *, rngs: nnx.Rngs):
        self.dense = _linear(width, hidden, rngs=rngs)
        self.intermediate_act_fn = Activation(gelu)

    def __call__(self, x: Array) -> Array:
        return self.intermediate_act_fn(self.dense(x))


class Layer(nnx.Module):
    """A block: attention, then the MLP, each added to its input and normed."""

    def __init__(self, width: int, heads: int, hidden: int, *, dropout: float, rngs: nnx.Rngs):
        self.attention = Attention(width, heads, dropout=dropout, rngs=rngs)
        self.intermediate = Intermediate(width, hidden, rngs=rngs)
        self.output = Output(hidden, width, dropout=dropout, rngs=rngs)

    def __call__(self, x: Array, mask: Array | None) -> Array:
        x = self.attention(x, mask)
        return self.output(self.intermediate(x), x)


class Pooler(nnx.Module):
    """tanh(W φ + b) of the first token's features: (n, t, d) → (n, d)."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.dense = _linear(width, width, rngs=rngs)
        self.activation = Activation(jnp.tanh)

    def __call__(self, x: Array) -> Array:
        return self.activation(self.dense(x[:, 0]))


def _linear(inputs: int, outputs: int, *, rngs: nnx.Rngs) -> nnx.Linear:
    return nnx.Linear(inputs, outputs, kernel_init=_INITIAL, rngs=rngs)


def bert_base(*, dropout: float = 0.0, rngs: nnx.Rngs) -> BERT:
    """BERT-base, uncased, see ``BERT``: 109,482,240 parameters.

    Example:
      >>> from flax import nnx
      >>> from jaxalign.models import bert_base
      >>> nnx.eval_shape(lambda: bert_base(rngs=nnx.Rngs(0))).embeddings.word_embeddings.embedding.shape
      (30522, 768)

    Source: Devlin et al., BERT (NAACL 2019).
    """
    return BERT(30522, 768, 12, 12, dropout=dropout, rngs=rngs)


def minilm_l6(*, dropout: float = 0.0, rngs: nnx.Rngs) -> BERT:
    """MiniLM-L6-H384, the encoder of all-MiniLM-L6-v2, see ``BERT``: 22,713,216 parameters.

    Example:
      >>> from flax import nnx
      >>> from jaxalign.models import minilm_l6
      >>> nnx.eval_shape(lambda: minilm_l6(rngs=nnx.Rngs(0))).embeddings.word_embeddings.embedding.shape
      (30522, 384)

    Source: Wang et al., MiniLM (NeurIPS 2020).
    """
    return BERT(30522, 384, 6, 12, dropout=dropout, rngs=rngs)


def embed(model: BERT, tokens: ArrayLike, mask: ArrayLike) -> Array:
    """The embedding of each text: the mean over its tokens of the last layer's features, padding
    left out, of length one.

    Args:
      model: the encoder; all-MiniLM-L6-v2 is ``minilm_l6`` with its weights.
      tokens: (n, t) ids, from ``WordPiece``.
      mask: (n, t) booleans, or 0 and 1: which of them are tokens, the others being padding.

    Returns:
      (n, d); the product of two rows is their cosine similarity.

    Raises:
      ValueError: ids that the model does not take; a mask of another shape, of other values, or
        without a token in some row (eager calls).

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxalign.models import BERT, embed
      >>> model = BERT(100, 8, 1, 2, rngs=nnx.Rngs(0))
      >>> short = embed(model, jnp.array([[1, 7, 2]]), jnp.array([[1, 1, 1]]))
      >>> padded = embed(model, jnp.array([[1, 7, 2, 0]]), jnp.array([[1, 1, 1, 0]]))
      >>> short.shape, bool(jnp.allclose(short, padded, atol=1e-6))
      ((1, 8), True)

    Source: Reimers, Gurevych, Sentence-BERT (EMNLP 2019).
    """
    return prepare(model(tokens, mask).tokens, bias=False, reduce="mean", mask=mask)
