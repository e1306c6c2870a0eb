"""The BERT encoder with the layer names of Hugging Face, MiniLM, and sentence embeddings."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._features import prepare
from jaxalign.models._attention import gelu
from jaxalign.models._bert_layers import Embeddings, Layer, Pooler, Residual, linear
from jaxalign.models._tokens import check_tokens

OLD_NORM_NAMES = (
    (r"\.LayerNorm\.gamma$", r".LayerNorm.weight"),
    (r"\.LayerNorm\.beta$", r".LayerNorm.bias"),
)
"""(regex, replacement) from the names of layer norms in old checkpoints to those of ``BERT``."""

OLD_NAMES = ((r"^bert\.", r""), *OLD_NORM_NAMES, (r"^cls\..*$", r""))
"""(regex, replacement), applied in this order, from names in BERT checkpoints to those of ``BERT``.

Covers old checkpoints too. ``cls`` holds the heads of the pre-training tasks; an empty replacement
drops them.
"""

EPSILON = 1e-12


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
      activation: of the blocks' MLPs; by default the exact GELU.
      epsilon: of the layer norms.
      padding: the id of padding, which is masked where no mask is given; by default there is none.
      rngs: the source of the initial weights (normal, standard deviation 0.02) and of dropout.

    Raises:
      ValueError: heads that do not divide the width; when called, an array that is not a batch of
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
        activation: Callable[[Array], Array] | None = None,
        epsilon: float = EPSILON,
        padding: int | None = None,
        rngs: nnx.Rngs,
    ):
        self.vocabulary = vocabulary
        self.padding = padding
        self.positions = positions
        self.depth = depth
        residual = Residual(width, dropout, epsilon)
        self.embeddings = Embeddings(vocabulary, positions, segments, residual, rngs=rngs)
        layers = [
            Layer(heads, hidden or 4 * width, residual, activation or gelu, rngs=rngs)
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
          mask: (n, t), 0 or False for padding; by default that of the model's padding.
          segments: (n, t), 0 for a first text, 1 for a second; by default all are of the first.
        """
        tokens = jnp.asarray(tokens)
        if mask is not None:
            mask = jnp.asarray(mask)
        elif self.padding is not None:
            mask = tokens != self.padding
        check_tokens(tokens, self.vocabulary, self.positions, mask)
        if segments is None:
            segments = jnp.zeros_like(tokens)
        x = self.embeddings(tokens, jnp.asarray(segments))
        for layer in self.encoder.layer:
            x = layer(x, mask)
        return Encoded(x, None if self.pooler is None else self.pooler(x))


class BERTClassifier(nnx.Module):
    """A linear layer on the pooled features of ``BERT``: (n, t) ids → (n, classes).

    Args:
      bert: the encoder, with a pooler.
      width: its d.
      classes: number of outputs.
      rngs: the source of the initial weights (normal, standard deviation 0.02).

    Raises:
      ValueError: an encoder without a pooler.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxalign.models import BERT, BERTClassifier
      >>> def build():
      ...     rngs = nnx.Rngs(0)
      ...     return BERTClassifier(BERT(100, 8, 1, 2, rngs=rngs), 8, 3, rngs=rngs)
      >>> model = nnx.eval_shape(build)  # shapes alone; build() has weights
      >>> nnx.eval_shape(lambda model, x: model(x), model, jnp.array([[1, 7, 2]])).shape
      (1, 3)

    Source: Devlin et al. (NAACL 2019); names of Hugging Face's BertForSequenceClassification.
    """

    def __init__(self, bert: BERT, width: int, classes: int, *, rngs: nnx.Rngs):
        if bert.pooler is None:
            raise ValueError("bert must have a pooler, found none; build it with pooler=True")
        self.bert = bert
        self.classifier = linear(width, classes, rngs=rngs)

    @property
    def post_activations(self) -> tuple[str, ...]:
        """Those of the encoder."""
        return tuple(f"bert.{name}" for name in self.bert.post_activations)

    def __call__(
        self, tokens: ArrayLike, mask: ArrayLike | None = None, segments: ArrayLike | None = None
    ) -> Float[Array, "n classes"]:
        """The outputs for tokens (n, t), with the arguments of ``BERT``."""
        encoded = self.bert(tokens, mask, segments)
        assert encoded.pooled is not None
        return self.classifier(encoded.pooled)


def bert_base(*, dropout: float = 0.0, rngs: nnx.Rngs) -> BERT:
    """BERT-base, uncased, see ``BERT``: 109,482,240 parameters. Arguments: as ``minilm_l6``.

    Source: Devlin et al., BERT (NAACL 2019).
    """
    return BERT(30522, 768, 12, 12, dropout=dropout, rngs=rngs)


def minilm_l6(*, dropout: float = 0.0, rngs: nnx.Rngs) -> BERT:
    """MiniLM-L6-H384, the encoder of all-MiniLM-L6-v2, see ``BERT``: 22,713,216 parameters.

    Args:
      dropout: the share of values dropped in training mode.
      rngs: the source of the initial weights and of dropout.

    Returns:
      BERT.

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
