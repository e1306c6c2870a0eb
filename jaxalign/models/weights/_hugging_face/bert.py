"""Hugging Face's BERT: names are those of ``BERT`` and ``BERTClassifier``."""

import jax
import numpy as np
from flax import nnx

from jaxalign.models._bert import BERT, OLD_NORM_NAMES, BERTClassifier
from jaxalign.models.weights._hugging_face.config import Config
from jaxalign.models.weights._hugging_face.layout import Family, Task, num_classes


def _build(config: Config, task: Task, has_pooler: bool) -> nnx.Module:
    config.require("position_embedding_type", "absolute")
    config.require("is_decoder", False)
    config.require("add_cross_attention", False)
    width = config.integer("hidden_size", 768)
    rngs = nnx.Rngs(0)
    encoder = BERT(
        config.integer("vocab_size", 30522),
        width,
        config.integer("num_hidden_layers", 12),
        config.integer("num_attention_heads", 12),
        positions=config.integer("max_position_embeddings", 512),
        segments=config.integer("type_vocab_size", 2),
        hidden=config.integer("intermediate_size", 3072),
        pooler=has_pooler or task.classifies,
        activation=config.activation("hidden_act", "gelu"),
        epsilon=config.number("layer_norm_eps", 1e-12),
        rngs=rngs,
    )
    if task.classifies:
        return BERTClassifier(encoder, width, num_classes(config), rngs=rngs)
    return encoder


def _sources(config: Config, name: str) -> tuple[str, ...]:
    return (name.removeprefix("bert."),)


def _example(config: Config) -> jax.ShapeDtypeStruct:
    length = min(128, config.integer("max_position_embeddings", 512))
    return jax.ShapeDtypeStruct((length,), np.int32)


_PRETRAINING = Task(left_out=("cls.",))

FAMILY = Family(
    prefix="bert.",
    tasks={
        "BertModel": Task(),
        "BertForSequenceClassification": Task(classifies=True),
        "BertForMaskedLM": _PRETRAINING,
        "BertForPreTraining": _PRETRAINING,
        "BertForNextSentencePrediction": _PRETRAINING,
        "BertForTokenClassification": Task(left_out=("classifier.",)),
        "BertForQuestionAnswering": Task(left_out=("qa_outputs.",)),
        "BertForMultipleChoice": Task(left_out=("classifier.",)),
    },
    build=_build,
    sources=_sources,
    heads=("classifier.", "cls.", "qa_outputs."),
    example=_example,
    other_names=OLD_NORM_NAMES,
)
