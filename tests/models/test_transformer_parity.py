"""The transformers match torch's layer for layer, on random weights and under every layout of
names.
"""

import importlib.util
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.models import BERT, ViT
from jaxalign.models._bert import OLD_NAMES
from jaxalign.models._vit import TIMM_NAMES, TORCHVISION_NAMES
from jaxalign.models.weights import assign

IMAGE, PATCH, HEADS = 32, 8, 4


@pytest.fixture(scope="module")
def torch_reference():
    file = Path(__file__).with_name("transformer_reference.py")
    spec = importlib.util.spec_from_file_location("transformer_reference", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def relative_error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def renamed(tensors, pairs):
    def name(old):
        for pattern, replacement in pairs:
            old = re.sub(pattern, replacement, old)
        return old

    return {name(old): tensor for old, tensor in tensors.items()}


def to_timm(tensors):
    """Torchvision's names of ViT weights → timm's."""
    block = r"^encoder\.layers\.encoder_layer_(\d+)\."
    return renamed(
        tensors,
        (
            ("^class_token$", "cls_token"),
            (r"^encoder\.pos_embedding$", "pos_embed"),
            (r"^encoder\.ln", "norm"),
            ("^conv_proj", "patch_embed.proj"),
            (r"^heads\.head", "head"),
            (block + "ln_", r"blocks.\1.norm"),
            (block + r"self_attention\.in_proj_", r"blocks.\1.attn.qkv."),
            (block + r"self_attention\.out_proj", r"blocks.\1.attn.proj"),
            (block + r"mlp\.0", r"blocks.\1.mlp.fc1"),
            (block + r"mlp\.3", r"blocks.\1.mlp.fc2"),
        ),
    )


def to_first_torchvision(tensors):
    """Today's names of the MLP → those in the file that torchvision publishes."""
    return renamed(tensors, ((r"\.mlp\.0\.", ".mlp.linear_1."), (r"\.mlp\.3\.", ".mlp.linear_2.")))


@pytest.mark.parametrize(
    ("layout", "names"),
    [(dict, TORCHVISION_NAMES), (to_first_torchvision, TORCHVISION_NAMES), (to_timm, TIMM_NAMES)],
    ids=["torchvision", "first torchvision", "timm"],
)
def test_vit_is_that_of_torch(torch_reference, rng, layout, names):
    reference = torch_reference.random_vit(32, 3, HEADS, 10, IMAGE, PATCH)
    images = rng.standard_normal((2, IMAGE, IMAGE, 3)).astype(np.float32)
    expected, blocks = torch_reference.vit_outputs(reference, images)
    model = nnx.eval_shape(
        lambda: ViT(32, 3, HEADS, 10, image=IMAGE, patch=PATCH, rngs=nnx.Rngs(0))
    )
    assign(
        model,
        layout({name: tensor.numpy() for name, tensor in reference.state_dict().items()}),
        rename=names,
    )
    output, activations = jax.jit(ja.tap(model, model.post_activations))(nnx.state(model), images)
    assert relative_error(output, expected) < 1e-4
    assert list(activations) == list(blocks) == list(model.post_activations)
    for name, theirs in blocks.items():
        assert relative_error(activations[name], theirs) < 1e-4, name


def bert(depth):
    """Shapes alone: every weight comes from the tensors."""
    return nnx.eval_shape(
        lambda: BERT(40, 16, depth, HEADS, positions=12, hidden=48, rngs=nnx.Rngs(0))
    )


@pytest.fixture
def bert_tensors(rng):
    """Random weights of a BERT of 3 blocks, 16 features, 40 tokens, under Hugging Face's names."""
    width, hidden = 16, 48
    shapes = {
        "embeddings.word_embeddings.weight": (40, width),
        "embeddings.position_embeddings.weight": (12, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
        "pooler.dense.weight": (width, width),
        "pooler.dense.bias": (width,),
    }
    linear = {f"attention.self.{name}": (width, width) for name in ("query", "key", "value")} | {
        "attention.output.dense": (width, width),
        "intermediate.dense": (hidden, width),
        "output.dense": (width, hidden),
    }
    for i in range(3):
        for name, shape in linear.items():
            shapes |= {
                f"encoder.layer.{i}.{name}.weight": shape,
                f"encoder.layer.{i}.{name}.bias": shape[:1],
            }
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"encoder.layer.{i}.{name}.{kind}": (width,) for kind in ("weight", "bias")}
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def to_first_bert(tensors):
    """Today's names → those of checkpoints of pre-training, with a head and a counter beside the
    encoder.
    """
    old = renamed(
        tensors,
        (
            ("LayerNorm.weight", "LayerNorm.gamma"),
            ("LayerNorm.bias", "LayerNorm.beta"),
            ("^", "bert."),
        ),
    )
    more = {"bert.embeddings.position_ids": np.arange(12)[None]}
    return (
        old
        | more
        | {f"cls.predictions.{name}": np.ones(40, np.float32) for name in ("bias", "decoder.bias")}
    )


@pytest.mark.parametrize("layout", [dict, to_first_bert])
def test_bert_is_that_of_torch(torch_reference, rng, bert_tensors, layout):
    ids = rng.integers(0, 40, (3, 9)).astype(np.int32)
    mask = np.arange(9) < np.array([[9], [5], [1]])
    expected, pooled = torch_reference.bert_outputs(bert_tensors, HEADS, ids, mask)
    model = bert(3)
    assign(model, layout(bert_tensors), rename=OLD_NAMES)
    output, activations = jax.jit(ja.tap(model, model.post_activations))(
        nnx.state(model), ids, mask
    )
    assert len(activations) == len(expected) == 4
    for found, theirs in zip(
        (*activations.values(), output.tokens), (*expected, expected[-1]), strict=True
    ):
        assert relative_error(found[mask], theirs[mask]) < 1e-5
    assert relative_error(output.pooled, pooled) < 1e-5


def test_weights_of_another_architecture_are_refused_by_name(bert_tensors):
    model = bert(2)
    with pytest.raises(ValueError, match=r"encoder\.layer\.2\.attention"):
        assign(model, bert_tensors, rename=OLD_NAMES)
