"""Hugging Face's ResNet: v1.5, with channels of each stage that the config chooses."""

import re

import jax
import numpy as np
from flax import nnx

from jaxalign.models._resnet import BasicBlock, Bottleneck, ResNet
from jaxalign.models.weights._hugging_face.config import Config
from jaxalign.models.weights._hugging_face.layout import Family, Task, num_classes

_BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {
    "basic": BasicBlock,
    "bottleneck": Bottleneck,
}


def _build(config: Config, task: Task, has_pooler: bool) -> nnx.Module:
    config.require("hidden_act", "relu")
    config.require("downsample_in_first_stage", False)
    config.require("downsample_in_bottleneck", False)
    layer_type = config.values.get("layer_type", "bottleneck")
    if not isinstance(layer_type, str) or layer_type not in _BLOCKS:
        raise config.wrong("layer_type", f"one of {', '.join(_BLOCKS)}")
    return ResNet(
        _BLOCKS[layer_type],
        config.integers("depths", [3, 4, 6, 3]),
        num_classes(config) if task.classifies else None,
        channels=config.integer("num_channels", 3),
        width=config.integer("embedding_size", 64),
        outputs=config.integers("hidden_sizes", [256, 512, 1024, 2048]),
        rngs=nnx.Rngs(0),
    )


def _sources(config: Config, name: str) -> tuple[str, ...]:
    stage = re.fullmatch(r"layer(\d+)\.(\d+)\.(.*)", name)
    if stage:
        number, block, rest = stage.groups()
        within = f"encoder.stages.{int(number) - 1}.layers.{block}."
        return (within + _in_block(rest),)
    name = re.sub(r"^conv1\.", "embedder.embedder.convolution.", name)
    name = re.sub(r"^bn1\.", "embedder.embedder.normalization.", name)
    return (re.sub(r"^fc\.", "classifier.1.", name),)


def _in_block(name: str) -> str:
    name = name.replace("downsample.0.", "shortcut.convolution.")
    name = name.replace("downsample.1.", "shortcut.normalization.")

    def numbered(layer: re.Match) -> str:
        kind = {"conv": "convolution", "bn": "normalization"}[layer[1]]
        return f"layer.{int(layer[2]) - 1}.{kind}."

    return re.sub(r"^(conv|bn)(\d)\.", numbered, name)


def _example(config: Config) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((224, 224, config.integer("num_channels", 3)), np.uint8)


FAMILY = Family(
    prefix="resnet.",
    tasks={
        "ResNetModel": Task(),
        "ResNetForImageClassification": Task(classifies=True),
    },
    build=_build,
    sources=_sources,
    heads=("classifier.",),
    example=_example,
)
