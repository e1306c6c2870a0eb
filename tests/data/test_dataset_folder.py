"""Folders in the layout of Hugging Face's datasets, written by pyarrow."""

import io
import json

import pytest
from PIL import Image

from jaxalign.data import read_dataset

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")

CLASSES = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}


def png(value):
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (value, 0, 0)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def table(columns, features=None):
    made = pa.table(columns)
    if features is None:
        return made
    noted = json.dumps({"info": {"features": features}})
    return made.replace_schema_metadata({"huggingface": noted})


def save(folder, *shards):
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"data-{i:05d}-of-{len(shards):05d}.arrow" for i in range(len(shards))]
    for name, shard in zip(names, shards, strict=True):
        with pa.ipc.new_stream(str(folder / name), shard.schema) as stream:
            stream.write_table(shard)
    files = [{"filename": name} for name in names]
    (folder / "state.json").write_text(json.dumps({"_data_files": files}))
    return folder


IMAGES = {"image": [png(1), png(2)], "label": [1, 0], "id": [7, 8]}


def test_images_and_classes_with_names_from_several_files(tmp_path):
    folder = save(tmp_path / "pets", table(IMAGES, CLASSES), table(IMAGES, CLASSES))
    images, labels, source = read_dataset(folder)
    assert labels.tolist() == ["dog", "cat", "dog", "cat"]
    assert [image[0, 0, 0] for image in images] == [1, 2, 1, 2]
    assert images[0].shape == (4, 5, 3)
    assert images.has_classes
    assert source == "pets"


@pytest.mark.parametrize("names", [("train", "test"), ("train", "validation")])
def test_parts_of_a_dict_and_of_parquet_files(tmp_path, names):
    tables = [table({"x": [[i, 2], [3, 4]], "label": [i, 5]}) for i in range(2)]
    (tmp_path / "arrow").mkdir()
    (tmp_path / "arrow" / "dataset_dict.json").write_text(json.dumps({"splits": names}))
    (tmp_path / "parquet" / "data").mkdir(parents=True)
    for name, one in zip(names, tables, strict=True):
        save(tmp_path / "arrow" / name, one)
        parquet.write_table(one, tmp_path / "parquet" / "data" / f"{name}-00000-of-00001.parquet")
    for folder in (tmp_path / "arrow", tmp_path / "parquet"):
        for i, part in enumerate(("train", "test")):
            inputs, labels, source = read_dataset(folder, part=part)
            assert inputs.tolist() == [[i, 2], [3, 4]]
            assert labels.tolist() == [i, 5]
            assert source == f"{folder.name}, {part}"
        with pytest.raises(ValueError, match=r"has the parts .*pass part='train' or 'test'"):
            read_dataset(folder)


@pytest.mark.parametrize(
    ("columns", "options", "inputs", "labels"),
    [
        ({"a": [1.5, 2.0], "b": [3, 4], "y": [0.1, 0.2]}, {}, [[1.5, 3], [2, 4]], [0.1, 0.2]),
        ({"a": [[[1, 2]], [[3, 4]]], "y": ["u", "v"]}, {}, [[[1, 2]], [[3, 4]]], ["u", "v"]),
        (
            {"a": [[1, 2], [3, 4]], "b": ["text", "text"], "c": [5, 6]},
            {"inputs": "a", "label": "c"},
            [[1, 2], [3, 4]],
            [5, 6],
        ),
        ({"a": [1, 2], "label": [[0.5, 1], [2, 3]]}, {}, [[1], [2]], [[0.5, 1], [2, 3]]),
    ],
)
def test_columns_of_numbers(tmp_path, columns, options, inputs, labels):
    found = read_dataset(save(tmp_path, table(columns)), **options)
    assert found.inputs.tolist() == inputs
    assert found.labels.tolist() == labels


@pytest.mark.parametrize(
    ("columns", "features", "options", "message"),
    [
        ({"a": [1, 2], "b": [3, 4]}, None, {}, "which column holds the labels, found a, b; name"),
        (IMAGES, None, {"label": "z"}, "label must be a column of .*image, label, id, found 'z'"),
        ({"a": ["u"], "b": [[1]], "y": [1]}, None, {}, "the inputs, found a, b; name it by inputs"),
        ({"a": ["u", "v"], "y": [1, 2]}, None, {}, "column a must hold numbers, found string"),
        ({"a": [[1], [2, 3]], "y": [1, 2]}, None, {}, "a must be of one length, found 1, 2"),
        ({"a": [[1, 2], [3, None]], "y": [1, 2]}, None, {}, "column a has no value in row 1"),
        ({"a": [1, 2], "y": [1, None]}, None, {}, "column y has no value in row 1"),
        ({"a": [1, 2], "y": ["u", None]}, None, {}, "column y has rows without a value"),
        ({"a": [1, 2], "label": [0, -1]}, CLASSES, {}, "found -1 in row 1 .* it has no label"),
        ({"a": [1, 2], "label": [0, 2]}, CLASSES, {}, "must hold classes 0 ... 1, found 2 in row"),
        ({"a": [1, 2], "y": [1, 2]}, None, {"part": "test"}, "found part='test'"),
        ({"a": [1, 2], "y": [1, 2]}, None, {"max_bytes": 3}, "more than max_bytes=3"),
        ({"a": [], "y": []}, None, {}, "has no rows"),
    ],
)
def test_what_is_no_data_set_is_refused(tmp_path, columns, features, options, message):
    folder = save(tmp_path / "some", table(columns, features))
    with pytest.raises(ValueError, match=message):
        read_dataset(folder, **options)


def test_an_image_without_bytes_or_damaged_is_named_by_its_row(tmp_path):
    images = [png(1), {"bytes": None, "path": "/etc/passwd"}, {"bytes": b"cut", "path": None}]
    found = read_dataset(save(tmp_path / "some", table({"image": images, "label": [0, 1, 0]})))
    assert [found.inputs.is_readable(i) for i in range(3)] == [True, False, False]
    with pytest.raises(ValueError, match="column image, row 1 holds no bytes of an image"):
        found.inputs[1]
    with pytest.raises(ValueError, match="column image, row 2 is not an image"):
        found.inputs[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must hold a JSON object"),
        ("{}", "must list _data_files"),
        ('{"_data_files": [{"filename": "../x.arrow"}]}', r"'../x.arrow', which is not a name"),
        ('{"_data_files": [{"filename": "none.arrow"}]}', r"lists none.arrow, which is missing"),
    ],
)
def test_a_damaged_description_is_refused(tmp_path, content, message):
    folder = save(tmp_path / "some", table(IMAGES))
    (folder / "state.json").write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_dataset(folder)


def test_damage_anywhere_is_an_error_that_names_the_file_or_leaves_rows(tmp_path, rng):
    folder = save(tmp_path / "some", table({"x": [[1, 2], [3, 4]], "y": ["u", "v"]}))
    (file,) = folder.glob("*.arrow")
    raw = file.read_bytes()
    for position in rng.integers(0, len(raw), 60):
        changed = bytearray(raw)
        changed[position] ^= 0x55
        file.write_bytes(changed)
        try:
            found = read_dataset(folder)
        except ValueError:
            continue
        assert len(found.inputs) == len(found.labels)
    file.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ValueError, match=r"data-00000-of-00001\.arrow cannot be read"):
        read_dataset(folder)


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no data set"):
        read_dataset(tmp_path / "missing")
    with pytest.raises(ValueError, match="is not a data set that save_to_disk wrote"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_names_of_classes_may_be_any_of_arrows_kinds_of_text(tmp_path, kind):
    names = pa.array(["b", "a", "b"], kind)
    for column in (names, names.cast(pa.string()).dictionary_encode()):
        table = pa.table({"x": [1.0, 2, 3], "label": column})
        try:
            parquet.write_table(table, tmp_path / "a.parquet")
        except pa.ArrowNotImplementedError:
            pytest.skip(f"this version of pyarrow writes no {kind}")
        assert read_dataset(tmp_path / "a.parquet")[1].tolist() == ["b", "a", "b"]
