"""Vision transformers with the layer names of torchvision's vit_b_16.

Tables translate the names of other checkpoints.
"""

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from jaxalign.models._attention import PreNormBlock, dropout_layer, in_turn, layer_norm
from jaxalign.models._layers import Activation, check_images

TORCHVISION_NAMES = (
    (r"\.in_proj_(weight|bias)$", r".in_proj.\1"),
    (r"\.mlp\.linear_1\.", r".mlp.0."),
    (r"\.mlp\.linear_2\.", r".mlp.3."),
)
"""(regex, replacement) from the names in torchvision's ViT files, old and new ones, to those of
``ViT``.
"""

TIMM_NAMES = (
    (r"^cls_token$", r"class_token"),
    (r"^pos_embed$", r"encoder.pos_embedding"),
    (r"^patch_embed\.proj\.", r"conv_proj."),
    (r"^blocks\.(\d+)\.norm([12])\.", r"encoder.layers.encoder_layer_\1.ln_\2."),
    (r"^blocks\.(\d+)\.attn\.qkv\.", r"encoder.layers.encoder_layer_\1.self_attention.in_proj."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.encoder_layer_\1.self_attention.out_proj."),
    (r"^blocks\.(\d+)\.mlp\.fc1\.", r"encoder.layers.encoder_layer_\1.mlp.0."),
    (r"^blocks\.(\d+)\.mlp\.fc2\.", r"encoder.layers.encoder_layer_\1.mlp.3."),
    (r"^norm\.", r"encoder.ln."),
    (r"^head\.", r"heads.head."),
)
"""(regex, replacement) from timm's names (vit_small_patch16_224, vit_base_patch16_224 and the like)
to those of ``ViT``.
"""

EPSILON = 1e-6


class Encoder(nnx.Module):
    """Position embeddings, pre-norm blocks, a last norm: (n, t, d) → (n, t, d)."""

    def __init__(
        self,
        length: int,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        *,
        dropout: float,
        activation: Callable[[Array], Array] | None,
        epsilon: float,
        rngs: nnx.Rngs,
    ):
        self.pos_embedding = nnx.Param(
            nnx.initializers.normal(0.02)(rngs.params(), (1, length, width), jnp.float32)
        )
        self.depth = depth
        self.dropout = dropout_layer(dropout, rngs=rngs)
        self.layers: nnx.Dict = nnx.Dict()
        for i in range(depth):
            self.layers[f"encoder_layer_{i}"] = PreNormBlock(
                width,
                heads,
                hidden,
                epsilon=epsilon,
                dropout=dropout,
                activation=activation,
                rngs=rngs,
            )
        self.ln = layer_norm(width, epsilon, rngs=rngs)

    def __call__(self, x: Float[Array, "n t d"]) -> Float[Array, "n t d"]:
        x = self.dropout(x + self.pos_embedding[...])
        for i in range(self.depth):
            x = self.layers[f"encoder_layer_{i}"](x)
        return self.ln(x)


class ViT(nnx.Module):
    """Patches as tokens after a class token, pre-norm blocks, a linear layer on the class token.

    Without classes, the output is the class token's features.

    Args:
      width: d, features of a token.
      depth: number of blocks.
      heads: of the attention, a divisor of d.
      classes: number of outputs, or None for a network without that layer.
      image: rows and columns of the images; the number of position embeddings depends on them.
      patch: rows and columns of a patch, a divisor of ``image``.
      channels: of the images.
      hidden: units of the blocks' MLPs; by default 4 d.
      representation: units of a tanh layer before the last one; by default there is none.
      dropout: the share of values dropped in training mode (attention weights are never dropped);
        0 as published.
      activation: of the blocks' MLPs; by default the exact GELU.
      epsilon: of the layer norms.
      rngs: the source of the initial weights (LeCun normal) and of dropout.

    Raises:
      ValueError: a patch that does not divide the image, heads that do not divide the width; when
        called, an array that is not a batch of images (n, image, image, channels).

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.models import ViT
      >>> model = nnx.eval_shape(lambda: ViT(16, 2, 2, 10, image=32, patch=8, rngs=nnx.Rngs(0)))
      >>> tap = ja.tap(model, model.post_activations)
      >>> images = jnp.ones((5, 32, 32, 3))
      >>> output, activations = jax.eval_shape(tap, nnx.state(model), images)  # shapes alone
      >>> {name: a.shape for name, a in activations.items()}  # for reduce="cls" or "mean"
      {'encoder.layers.encoder_layer_0': (5, 17, 16), 'encoder.layers.encoder_layer_1': (5, 17, 16),
      'encoder.ln': (5, 17, 16)}

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words (ICLR 2021); names of torchvision.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        classes: int | None,
        *,
        image: int = 224,
        patch: int = 16,
        channels: int = 3,
        hidden: int | None = None,
        representation: int | None = None,
        dropout: float = 0.0,
        activation: Callable[[Array], Array] | None = None,
        epsilon: float = EPSILON,
        rngs: nnx.Rngs,
    ):
        if patch < 1 or image % patch:
            raise ValueError(f"patch must divide image = {image}, found {patch}")
        self.image = image
        self.channels = channels
        self.depth = depth
        self.conv_proj = nnx.Conv(
            channels, width, (patch, patch), strides=patch, padding="VALID", rngs=rngs
        )
        self.class_token = nnx.Param(jnp.zeros((1, 1, width), jnp.float32))
        length = (image // patch) ** 2 + 1
        self.encoder = Encoder(
            length,
            width,
            depth,
            heads,
            hidden or 4 * width,
            dropout=dropout,
            activation=activation,
            epsilon=epsilon,
            rngs=rngs,
        )
        self.heads: nnx.Dict = nnx.Dict()
        if representation is not None:
            self.heads["pre_logits"] = nnx.Linear(width, representation, rngs=rngs)
            self.heads["act"] = Activation(jnp.tanh)
        if classes is not None:
            self.heads["head"] = nnx.Linear(representation or width, classes, rngs=rngs)

    @property
    def post_activations(self) -> tuple[str, ...]:
        """The blocks, and the last norm, which the head reads; outputs are (n, tokens, d)."""
        return (*(f"encoder.layers.encoder_layer_{i}" for i in range(self.depth)), "encoder.ln")

    def __call__(self, x: Float[Array, "n image image channels"]) -> Float[Array, "n classes"]:
        check_images(x, self.channels)
        if x.shape[1:3] != (self.image, self.image):
            raise ValueError(
                f"images must have {self.image} × {self.image} pixels, for which the positions "
                f"are, found {x.shape[1]} × {x.shape[2]}; "
                f"resize them, or build the model with image={x.shape[1]}"
            )
        patches = self.conv_proj(x)
        patches = patches.reshape(len(x), -1, patches.shape[-1])
        first = jnp.broadcast_to(self.class_token[...], (len(x), 1, patches.shape[-1]))
        tokens = self.encoder(jnp.concatenate([first, patches], axis=1))
        # By name, as merging a model again sorts them.
        names = [name for name in ("pre_logits", "act", "head") if name in self.heads]
        return in_turn([self.heads[name] for name in names], tokens[:, 0])


def vit_s_16(classes: int = 1000, *, image: int = 224, dropout: float = 0.0, rngs: nnx.Rngs) -> ViT:
    """ViT-S/16, see ``ViT``: 22,050,664 parameters.

    Args:
      classes: number of outputs.
      image: rows and columns of the images, a multiple of 16.
      dropout: the share of values dropped in training mode.
      rngs: the source of the initial weights and of dropout.

    Returns:
      ViT.

    Raises:
      ValueError: images that patches of 16 do not divide.

    Example:
      >>> from flax import nnx
      >>> from jaxalign.models import vit_s_16
      >>> model = nnx.eval_shape(lambda: vit_s_16(rngs=nnx.Rngs(0)))
      >>> model.encoder.pos_embedding.shape
      (1, 197, 384)

    Source: Touvron et al., Training data-efficient image transformers (ICML 2021).
    """
    return ViT(384, 12, 6, classes, image=image, dropout=dropout, rngs=rngs)


def vit_b_16(classes: int = 1000, *, image: int = 224, dropout: float = 0.0, rngs: nnx.Rngs) -> ViT:
    """ViT-B/16, see ``ViT``: 86,567,656 parameters.

    Args:
      classes: number of outputs.
      image: rows and columns of the images, a multiple of 16.
      dropout: the share of values dropped in training mode.
      rngs: the source of the initial weights and of dropout.

    Returns:
      ViT.

    Raises:
      ValueError: images that patches of 16 do not divide.

    Example:
      >>> from flax import nnx
      >>> from jaxalign.models import vit_b_16
      >>> model = nnx.eval_shape(lambda: vit_b_16(rngs=nnx.Rngs(0)))
      >>> model.encoder.pos_embedding.shape
      (1, 197, 768)

    Source: Dosovitskiy et al. (ICLR 2021).
    """
    return ViT(768, 12, 12, classes, image=image, dropout=dropout, rngs=rngs)
