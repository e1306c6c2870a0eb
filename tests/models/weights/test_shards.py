"""Large models come in shards, with an index that says which tensor is in which file."""

import json
import shutil

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxalign.models.weights import read

INDEX = "model.safetensors.index.json"
SHARDS = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
PARTS = [
    {"module.a.weight": np.ones((2, 3), np.float32), "module.a.bias": np.zeros(3, np.float32)},
    {"module.b.weight": np.full(2, 2.5, ml_dtypes.bfloat16)},
    {"module.c": np.arange(3)},
]


@pytest.fixture
def folder(tmp_path):
    weight_map = {}
    for shard, part in zip(SHARDS, PARTS, strict=True):
        save_file(part, tmp_path / shard)
        weight_map |= dict.fromkeys(part, shard)
    write_index(tmp_path, weight_map)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "._model.safetensors").write_bytes(b"")  # as macOS leaves behind
    return tmp_path


def write_index(folder, weight_map):
    (folder / INDEX).write_text(
        json.dumps({"metadata": {"total_size": 60}, "weight_map": weight_map})
    )


def weight_map_of(folder):
    return json.loads((folder / INDEX).read_text())["weight_map"]


@pytest.mark.parametrize("name", ["", INDEX])
def test_all_shards_are_read_by_the_index_or_its_folder(folder, name):
    found = read(folder / name)
    wanted = {name.removeprefix("module."): array for part in PARTS for name, array in part.items()}
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_shards_may_be_links_to_another_folder(folder, tmp_path_factory):
    """So the cache of Hugging Face keeps them."""
    blobs = tmp_path_factory.mktemp("blobs")
    for number, name in enumerate([INDEX, *SHARDS]):
        shutil.move(folder / name, blobs / str(number))
        (folder / name).symlink_to(blobs / str(number))
    assert len(read(folder)) == 4


def test_a_folder_with_one_file_is_that_file(folder, tmp_path_factory):
    single = tmp_path_factory.mktemp("single")
    shutil.copy(folder / SHARDS[1], single / "model.safetensors")
    (single / "training_args.bin").write_bytes(b"")
    assert list(read(single)) == ["b.weight"]


def test_a_missing_shard_is_noticed_before_any_is_read(folder):
    (folder / SHARDS[0]).write_bytes(b"damaged")
    (folder / SHARDS[2]).unlink()
    with pytest.raises(
        FileNotFoundError, match=rf"{INDEX} lists a shard that is missing: .*{SHARDS[2]}"
    ):
        read(folder)


def test_a_damaged_shard_is_named(folder):
    (folder / SHARDS[1]).write_bytes((folder / SHARDS[1]).read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{SHARDS[1]} cannot be read: "):
        read(folder)


def lacking(weight_map):
    del weight_map["module.a.bias"]


def promising(weight_map):
    weight_map["module.d"] = SHARDS[0]


def elsewhere(weight_map):
    weight_map["module.a.bias"] = SHARDS[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lacking, r"1 are not listed \['module.a.bias'\]"),
        (promising, r"1 tensors are missing \['module.d'\]"),
        (elsewhere, r"1 are not listed \['module.a.bias'\]"),
    ],
)
def test_shards_hold_what_the_index_lists(folder, change, message):
    weight_map = weight_map_of(folder)
    change(weight_map)
    write_index(folder, weight_map)
    with pytest.raises(ValueError, match=f"{SHARDS[0]} and its index differ: .*{message}"):
        read(folder)


@pytest.mark.parametrize("file", ["../x", "/etc/passwd", "..", ".", "", "a/b", 3, None, [], INDEX])
def test_shards_are_files_beside_the_index(folder, within, file):
    write_index(folder, weight_map_of(folder) | {"module.c": file})
    with within(5), pytest.raises(ValueError, match="cannot be read"):
        read(folder)


@pytest.mark.parametrize(
    "text",
    [
        "{", "{}", '{"weight_map": 3}', '{"weight_map": {}}', '{"a": 1} 2', '{"weight_map": [1]}',
        '{"weight_map":' * 100_000, '{"weight_map": {"\ud800": NaN}}', " \n{}",
    ],
)  # fmt: skip
def test_json_that_is_no_index_is_refused(tmp_path, text):
    (tmp_path / INDEX).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=f"{INDEX} cannot be read: "):
        read(tmp_path)


def test_an_index_beside_a_whole_file_is_ambiguous(folder):
    shutil.copy(folder / SHARDS[1], folder / "model.safetensors")
    with pytest.raises(ValueError, match=f"with the weights model.safetensors, {INDEX}; path must"):
        read(folder)
    assert len(read(folder / INDEX)) == 4
