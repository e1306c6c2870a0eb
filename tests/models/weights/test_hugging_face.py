"""Folders of Hugging Face's: tiny ones that transformers wrote, with what it answers, and what is
done to them.
"""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from jaxalign.models.weights import hugging_face

DATA = Path(__file__).parents[1] / "data" / "hugging_face"
KINDS = ("bert", "vit", "resnet")
FEW = (pytest.param("bert", marks=pytest.mark.slow), "vit", "resnet")


@pytest.fixture
def folder(tmp_path):
    """``folder(kind, tensors, **settings)``: a copy with other tensors and settings; None removes
    one.
    """

    def copy(kind, tensors=None, **settings):
        path = tmp_path / kind
        shutil.copytree(DATA / kind, path, dirs_exist_ok=True)
        file = path / "config.json"
        config = json.loads(file.read_text()) | settings
        file.write_text(json.dumps({name: v for name, v in config.items() if v is not None}))
        if tensors is not None:
            save_file(tensors, path / "model.safetensors")
        return path

    return copy


def tensors_of(kind):
    return load_file(DATA / kind / "model.safetensors")


def require_equal(first, second):
    states = [jax.tree.leaves_with_path(nnx.state(one.model)) for one in (first, second)]
    for (path, x), (other, y) in zip(*states, strict=True):
        assert path == other
        np.testing.assert_array_equal(x, y)


def expected(kind):
    with np.load(DATA / kind / "expected.npz") as arrays:
        inputs = [arrays[name] for name in arrays.files if name != "output"]
        if inputs[0].ndim == 4:
            inputs = [inputs[0].transpose(0, 2, 3, 1)]
        return inputs, arrays["output"]


@pytest.mark.parametrize("kind", FEW)
def test_outputs_are_those_of_transformers(kind):
    network = hugging_face(DATA / kind)
    inputs, output = expected(kind)
    with jax.default_matmul_precision("highest"):
        answer = nnx.jit(lambda model, *inputs: model(*inputs))(network.model, *inputs)
    np.testing.assert_allclose(answer, output, rtol=1e-5, atol=1e-5)
    assert network.left_out == ()
    assert network.preprocess is None
    assert network.source == f"model.safetensors of {kind}"
    if kind == "bert":
        assert network.class_names == ("no", "perhaps", "yes")


@pytest.mark.parametrize("kind", FEW)
def test_what_does_not_fit_is_named_as_in_the_file(folder, kind):
    tensors = tensors_of(kind)
    missing, wide, whole = [name for name in tensors if "num_batches" not in name][1::7][:3]
    tensors["more"] = tensors.pop(missing)
    tensors[wide] = np.zeros((7, *tensors[wide].shape), np.float32)
    tensors[whole] = tensors[whole].astype(np.int32)
    with pytest.raises(ValueError, match="do not fit") as caught:
        hugging_face(folder(kind, tensors))
    for line in (
        f"1 missing: {missing}",
        "1 unused: more",
        f"1 of another shape: {wide}",
        f"1 of another dtype: {whole}",
    ):
        assert line in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_encoders_are_read_with_and_without_their_prefix(folder, kind):
    encoder = {"bert": "BertModel", "vit": "ViTModel", "resnet": "ResNetModel"}[kind]
    tensors = {
        name: tensor for name, tensor in tensors_of(kind).items() if "classifier" not in name
    }
    bare = {name.removeprefix(f"{kind}."): tensor for name, tensor in tensors.items()}
    first = hugging_face(folder(kind, tensors, architectures=[encoder]))
    second = hugging_face(folder(kind, bare, architectures=None))
    require_equal(first, second)
    with pytest.raises(ValueError, match=r"2 unused: classifier"):
        hugging_face(folder(kind, tensors_of(kind), architectures=[encoder]))


def test_an_architecture_that_is_not_named_is_read_off_the_tensors(folder):
    require_equal(hugging_face(folder("vit", architectures=None)), hugging_face(DATA / "vit"))


@pytest.mark.slow
def test_names_of_a_state_dict_of_transformers_5_are_known(folder):
    parts = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}
    renamed = {}
    for name, tensor in tensors_of("vit").items():
        for part, short in parts.items():
            name = name.replace(f"attention.attention.{part}", f"attention.{short}")
        name = name.replace("attention.output.dense", "attention.o_proj")
        name = name.replace("intermediate.dense", "mlp.fc1").replace("output.dense", "mlp.fc2")
        renamed[name.replace("encoder.layer.", "layers.")] = tensor
    require_equal(hugging_face(folder("vit", renamed)), hugging_face(DATA / "vit"))


@pytest.mark.slow
def test_heads_of_other_tasks_are_left_out_and_named(folder):
    tensors = tensors_of("bert")
    head = {"cls.predictions.bias": tensors.pop("classifier.bias")}
    del tensors["classifier.weight"]
    network = hugging_face(folder("bert", tensors | head, architectures=["BertForMaskedLM"]))
    assert network.left_out == ("cls.predictions.bias",)
    assert network.class_names is None


@pytest.mark.slow
def test_queries_keys_and_values_without_a_bias_have_zeros(folder):
    biases = [f"attention.attention.{part}.bias" for part in ("query", "key", "value")]
    tensors = tensors_of("vit")
    zeros = {name: 0 * t if name.endswith(tuple(biases)) else t for name, t in tensors.items()}
    without = {name: t for name, t in tensors.items() if not name.endswith(tuple(biases))}
    second = hugging_face(folder("vit", without, qkv_bias=False))
    require_equal(hugging_face(folder("vit", zeros)), second)
    with pytest.raises(ValueError, match=r"6 missing: vit\.encoder\.layer\.0\.attention"):
        hugging_face(folder("vit", without, qkv_bias=True))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("bert", {"model_type": "roberta"}, r"known, bert \(BertModel, .*vit.*resnet.*'roberta'"),
        ("bert", {"architectures": ["BertForFoo"]}, "one of BertModel, .*found .*BertForFoo"),
        ("vit", {"model_type": None, "architectures": ["SwinModel"]}, "found .*SwinModel"),
        ("vit", {"architectures": "ViTModel"}, "architectures must be a list of names"),
        ("bert", {"hidden_size": "8"}, "hidden_size must be a positive integer, found '8'"),
        ("bert", {"hidden_size": 10**30}, "hidden_size must be a positive integer"),
        ("bert", {"layer_norm_eps": -1}, "layer_norm_eps must be a positive number"),
        ("bert", {"hidden_act": "mish"}, "hidden_act must be one of gelu, .*found 'mish'"),
        ("bert", {"position_embedding_type": "relative_key"}, 'must be "absolute"'),
        ("bert", {"is_decoder": True}, "is_decoder must be false"),
        ("bert", {"num_attention_heads": 3}, "describes no model: heads must divide the width 8"),
        ("vit", {"num_hidden_layers": 10**6}, "more layers than there are tensors"),
        ("vit", {"num_hidden_layers": 3}, r"16 missing: vit\.encoder\.layer\.2\."),
        ("vit", {"image_size": [8, 16]}, "image_size must be a positive integer, found"),
        ("vit", {"id2label": {"0": "a", "2": "b"}}, "id2label must be a name for each"),
        ("resnet", {"downsample_in_bottleneck": True}, "downsample_in_bottleneck must be false"),
        ("resnet", {"layer_type": "wide"}, "layer_type must be one of basic, bottleneck"),
        ("resnet", {"depths": [1, 2, 1]}, "outputs must be those of 3 stages, found 2"),
        ("resnet", {"hidden_sizes": [8, 16]}, "of another shape: classifier.1.weight"),
    ],
)
def test_a_config_of_another_model_is_refused(folder, kind, settings, message):
    with pytest.raises(ValueError, match=message):
        hugging_face(folder(kind, **settings))


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b"[" * 10**5])
def test_a_damaged_config_is_refused(folder, content):
    path = folder("vit")
    (path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.json"):
        hugging_face(path)


def test_what_is_not_there_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        hugging_face(tmp_path)
    path = folder("vit")
    (path / "model.safetensors").rename(path / "tf_model.h5")
    with pytest.raises(FileNotFoundError, match=r"none of model\.safetensors, .*pytorch_model"):
        hugging_face(path)
    with pytest.raises(TypeError, match="folder"):
        hugging_face(3)


@pytest.mark.slow
def test_weights_may_lie_in_shards(folder):
    path = folder("resnet")
    (path / "model.safetensors").unlink()
    tensors = tensors_of("resnet")
    weight_map = {name: f"model-{i % 2}.safetensors" for i, name in enumerate(tensors)}
    for shard in set(weight_map.values()):
        save_file({n: t for n, t in tensors.items() if weight_map[n] == shard}, path / shard)
    index = path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    require_equal(hugging_face(path), hugging_face(DATA / "resnet"))
