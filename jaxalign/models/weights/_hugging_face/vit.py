"""Hugging Face's ViT: names, and queries, keys and values, which ``ViT`` has as one layer."""

import re

import jax
import numpy as np
from flax import nnx

from jaxalign.models._vit import ViT
from jaxalign.models.weights._hugging_face.config import Config
from jaxalign.models.weights._hugging_face.layout import Family, Task, num_classes

_NAMES = (
    (r"^class_token$", r"embeddings.cls_token"),
    (r"^encoder\.pos_embedding$", r"embeddings.position_embeddings"),
    (r"^conv_proj\.", r"embeddings.patch_embeddings.projection."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"encoder.layer.\1."),
    (r"\.ln_1\.", r".layernorm_before."),
    (r"\.ln_2\.", r".layernorm_after."),
    (r"\.self_attention\.in_proj\.", r".attention.attention.*."),
    (r"\.self_attention\.out_proj\.", r".attention.output.dense."),
    (r"\.mlp\.0\.", r".intermediate.dense."),
    (r"\.mlp\.3\.", r".output.dense."),
    (r"^encoder\.ln\.", r"layernorm."),
    (r"^heads\.pre_logits\.", r"pooler.dense."),
    (r"^heads\.head\.", r"classifier."),
)
"""(regex, replacement) from the names in ``ViT``; "*" stands for query, key and value."""

_IN_MEMORY = (
    (r"^(vit\.)?layers\.(\d+)\.", r"\1encoder.layer.\2."),
    (r"\.attention\.q_proj\.", r".attention.attention.query."),
    (r"\.attention\.k_proj\.", r".attention.attention.key."),
    (r"\.attention\.v_proj\.", r".attention.attention.value."),
    (r"\.attention\.o_proj\.", r".attention.output.dense."),
    (r"\.mlp\.fc1\.", r".intermediate.dense."),
    (r"\.mlp\.fc2\.", r".output.dense."),
)
"""(regex, replacement) from the names that transformers 5 has in memory, so in a ``state_dict``."""


def _build(config: Config, task: Task, has_pooler: bool) -> nnx.Module:
    width = config.integer("hidden_size", 768)
    if has_pooler:
        config.require("pooler_act", "tanh")
    return ViT(
        width,
        config.integer("num_hidden_layers", 12),
        config.integer("num_attention_heads", 12),
        num_classes(config) if task.classifies else None,
        image=config.side("image_size", 224),
        patch=config.side("patch_size", 16),
        channels=config.integer("num_channels", 3),
        hidden=config.integer("intermediate_size", 3072),
        representation=config.integer("pooler_output_size", width) if has_pooler else None,
        activation=config.activation("hidden_act", "gelu"),
        epsilon=config.number("layer_norm_eps", 1e-12),
        rngs=nnx.Rngs(0),
    )


def _sources(config: Config, name: str) -> tuple[str, ...]:
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    if "*" not in name:
        return (name,)
    if name.endswith("bias") and not config.flag("qkv_bias", True):
        return ()
    return tuple(name.replace("*", part) for part in ("query", "key", "value"))


def _example(config: Config) -> jax.ShapeDtypeStruct:
    side = config.side("image_size", 224)
    return jax.ShapeDtypeStruct((side, side, config.integer("num_channels", 3)), np.uint8)


FAMILY = Family(
    prefix="vit.",
    tasks={
        "ViTModel": Task(left_out=("embeddings.mask_token",)),
        "ViTForImageClassification": Task(classifies=True),
        "ViTForMaskedImageModeling": Task(left_out=("embeddings.mask_token", "decoder.")),
    },
    build=_build,
    sources=_sources,
    heads=("classifier.", "decoder."),
    example=_example,
    other_names=_IN_MEMORY,
)
