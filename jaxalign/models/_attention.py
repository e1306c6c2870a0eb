"""Attention, and the pre-norm block that the models of images and of texts share."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float, Int

from jaxalign.models._layers import Activation


def attend(
    query: Float[Array, "n t d"],
    key: Float[Array, "n s d"],
    value: Float[Array, "n s d"],
    heads: int,
    *,
    mask: Bool[Array, "n s"] | Int[Array, "n s"] | None = None,
    causal: bool = False,
) -> Float[Array, "n t d"]:
    """softmax(Q Kᵀ/√(d/h)) V in each of h heads of d/h consecutive features.

    Args:
      query: (n, t, d).
      key: (n, s, d).
      value: (n, s, d).
      heads: h, a divisor of d.
      mask: (n, s), True or 1 for the positions that are attended to; by default all.
      causal: whether a position sees only itself and those before it.

    Returns:
      (n, t, d).

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxalign.models._attention import attend
      >>> values = jnp.array([[[1.0], [3.0], [8.0]]])
      >>> equal = jnp.zeros((1, 3, 1))
      >>> attend(equal, equal, values, 1, causal=True).ravel().tolist()
      [1.0, 2.0, 4.0]

    Source: Vaswani et al., Attention Is All You Need (NeurIPS 2017), on
      jax.nn.dot_product_attention.
    """
    query, key, value = (x.reshape(*x.shape[:-1], heads, -1) for x in (query, key, value))
    visible = None
    if mask is not None:
        # The same for every head and query: (n, heads, t, s) by broadcasting.
        visible = mask[:, None, None, :].astype(bool)
    mixed = jax.nn.dot_product_attention(query, key, value, mask=visible, is_causal=causal)
    return mixed.reshape(*mixed.shape[:-2], -1)


class SelfAttention(nnx.Module):
    """Attention of a sequence to itself, (n, t, d) → (n, t, d).

    One linear map makes queries, keys and values; another maps the result back.

    Args:
      width: d.
      heads: a divisor of d.
      causal: whether a position sees only itself and those before it.
      rngs: the source of the initial weights (LeCun normal).

    Example:
      >>> from flax import nnx
      >>> from jaxalign.models._attention import SelfAttention
      >>> layer = nnx.eval_shape(lambda: SelfAttention(8, 2, rngs=nnx.Rngs(0)))
      >>> layer.in_proj.kernel.shape
      (8, 24)

    Source: Vaswani et al. (NeurIPS 2017); names and layout of torch.nn.MultiheadAttention.
    """

    def __init__(self, width: int, heads: int, *, causal: bool = False, rngs: nnx.Rngs):
        require_divisor(width, heads)
        self.heads = heads
        self.causal = causal
        self.in_proj = nnx.Linear(width, 3 * width, rngs=rngs)
        self.out_proj = nnx.Linear(width, width, rngs=rngs)

    def __call__(self, x: Float[Array, "n t d"]) -> Float[Array, "n t d"]:
        query, key, value = jnp.split(self.in_proj(x), 3, axis=-1)
        return self.out_proj(attend(query, key, value, self.heads, causal=self.causal))


class PreNormBlock(nnx.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): (n, t, d) → (n, t, d).

    Layers have the names of torchvision's ViT.

    Args:
      width: d.
      heads: a divisor of d.
      hidden: units of the MLP's first layer, which the activation follows.
      epsilon: of the two layer norms.
      causal: whether a position sees only itself and those before it.
      dropout: the share of values dropped after the attention and after both layers of the MLP, in
        training mode.
      activation: of the MLP; by default the exact GELU.
      rngs: the source of the initial weights (LeCun normal) and of dropout.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxalign.models._attention import PreNormBlock
      >>> block = nnx.eval_shape(lambda: PreNormBlock(8, 2, 32, rngs=nnx.Rngs(0)))
      >>> nnx.eval_shape(lambda block, x: block(x), block, jnp.ones((1, 3, 8))).shape
      (1, 3, 8)

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words (ICLR 2021).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        *,
        epsilon: float = 1e-6,
        causal: bool = False,
        dropout: float = 0.0,
        activation: Callable[[Array], Array] | None = None,
        rngs: nnx.Rngs,
    ):
        self.ln_1 = layer_norm(width, epsilon, rngs=rngs)
        self.self_attention = SelfAttention(width, heads, causal=causal, rngs=rngs)
        self.dropout = dropout_layer(dropout, rngs=rngs)
        self.ln_2 = layer_norm(width, epsilon, rngs=rngs)
        self.mlp = nnx.List(
            [
                nnx.Linear(width, hidden, rngs=rngs),
                Activation(activation or gelu),
                dropout_layer(dropout, rngs=rngs),
                nnx.Linear(hidden, width, rngs=rngs),
                dropout_layer(dropout, rngs=rngs),
            ]
        )

    def __call__(self, x: Float[Array, "n t d"]) -> Float[Array, "n t d"]:
        x = x + self.dropout(self.self_attention(self.ln_1(x)))
        return x + in_turn(self.mlp, self.ln_2(x))


def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x·Φ(x), Φ the normal distribution function: exact as in torch."""
    return jax.nn.gelu(x, approximate=False)


def in_turn(layers: Sequence[nnx.Module], x: Array) -> Array:
    """The layers applied to ``x`` one after another."""
    for layer in layers:
        x = layer(x)
    return x


def layer_norm(width: int, epsilon: float, *, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """(x − mean)/√(var + ε) · scale + bias over the last axis, var = E[(x − mean)²]."""
    # flax's fast variance, E[x²] − E[x]², loses digits once the mean of the residual stream is
    # large.
    return nnx.LayerNorm(width, epsilon=epsilon, use_fast_variance=False, rngs=rngs)


def dropout_layer(rate: float, *, rngs: nnx.Rngs) -> nnx.Dropout:
    """Dropout; without random state at rate 0."""
    return nnx.Dropout(rate, rngs=rngs if rate else None)


def require_divisor(width: int, heads: int) -> None:
    """Raise unless ``heads`` divides ``width``."""
    if heads < 1 or width % heads:
        raise ValueError(f"heads must divide the width {width}, found {heads}")
