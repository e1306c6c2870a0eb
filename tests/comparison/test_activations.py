import numpy as np
import pytest
from ml_dtypes import bfloat16
from safetensors.numpy import save_file

from jaxalign.comparison import read_activations, require_same_rows

RNG = np.random.default_rng(0)
FLAT = RNG.standard_normal((6, 4)).astype(np.float32)
LABELS = np.array([0, 1, 0, 1, 1, 0])


def rows_of(found, name):
    return np.concatenate([batch[name] for batch in found.layers.batches([name])])


def npz(path, arrays):
    np.savez(path, **arrays)


def npz_packed(path, arrays):
    np.savez_compressed(path, **arrays)


def safetensors(path, arrays):
    save_file({name: np.ascontiguousarray(x) for name, x in arrays.items()}, path)


@pytest.mark.parametrize(
    ("write", "suffix"), [(npz, "npz"), (npz_packed, "npz"), (safetensors, "safetensors")]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, bfloat16, np.uint8, ">f4"])
def test_every_format_and_dtype_gives_its_numbers(write, suffix, dtype, tmp_path):
    if write is safetensors and dtype == ">f4":
        pytest.skip("has one byte order")
    values = (np.abs(FLAT) * 8).astype(dtype)
    file = tmp_path / f"a.{suffix}"
    write(file, {"b.1": values, "labels": LABELS, "a": values[:, :1]})
    found = read_activations(file)
    assert set(found.layers.shapes) == {"a", "b.1"}
    np.testing.assert_array_equal(rows_of(found, "b.1"), values.astype(np.float64))
    assert found.labels.tolist() == LABELS.tolist()


def test_one_array_is_one_layer(tmp_path):
    np.save(tmp_path / "conv1.npy", FLAT)
    found = read_activations(tmp_path / "conv1.npy")
    np.testing.assert_array_equal(rows_of(found, "conv1"), FLAT)
    assert found.labels is None


def test_channels_are_found_where_they_can_be_told(tmp_path):
    maps = RNG.standard_normal((6, 5, 5, 3)).astype(np.float32)
    unclear = RNG.standard_normal((6, 4, 4, 4)).astype(np.float32)
    npz(tmp_path / "a.npz", {"jax": maps, "torch": np.moveaxis(maps, -1, 1)})
    found = read_activations(tmp_path / "a.npz")
    for name in ("jax", "torch"):
        np.testing.assert_allclose(rows_of(found, name), maps.mean(axis=(1, 2)), rtol=1e-5)
    npz(tmp_path / "b.npz", {"cube": unclear})
    with pytest.raises(ValueError, match="may have their channels first"):
        read_activations(tmp_path / "b.npz")
    first = rows_of(read_activations(tmp_path / "b.npz", channels="first"), "cube")
    np.testing.assert_allclose(first, unclear.mean(axis=(2, 3)), rtol=1e-5, atol=1e-7)
    flat = read_activations(tmp_path / "b.npz", reduce="flatten")
    assert rows_of(flat, "cube").shape == (6, 64)


def test_what_is_no_layer_is_left_out_with_its_reason(tmp_path):
    npz(
        tmp_path / "a.npz",
        {
            "layer": FLAT,
            "names": np.array(["x", "y"]),
            "scalar": np.float32(1),
            "mask": np.ones((6, 4), bool),
            "complex": FLAT * 1j,
            "objects": np.array([None, 1], object),
        },
    )
    found = read_activations(tmp_path / "a.npz")
    assert list(found.layers.shapes) == ["layer"]
    assert set(found.layers.left_out) == {"names", "scalar", "mask", "complex", "objects"}
    assert "could run anything" in found.layers.left_out["objects"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"row_ids": np.arange(6)[::-1]}, "sort both files by them"),
        ({"row_ids": np.arange(1, 7)}, r"found other row_ids from row 0 on \(0 and 1\)"),
        ({"row_ids": np.arange(5)}, "found other row_ids"),
        ({"labels": 1 - LABELS}, r"found other labels from row 0 on \(0 and 1\)"),
        ({"inputs_sha256": np.array("cd")}, "found other inputs_sha256"),
    ],
)
def test_files_of_other_rows_are_refused(other, message, tmp_path):
    own = {"row_ids": np.arange(6), "labels": LABELS, "inputs_sha256": np.array("ab")}
    npz(tmp_path / "a.npz", {"x": FLAT, **own})
    npz(tmp_path / "b.npz", {"x": FLAT, **other})
    a, b = (read_activations(tmp_path / f"{name}.npz") for name in "ab")
    assert require_same_rows(a, a)
    with pytest.raises(ValueError, match=message):
        require_same_rows(a, b)


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (b"", {}, "cannot be read as activations"),
        (b"PK\x03\x04 truncated", {}, "cannot be read as activations"),
        ({"labels": LABELS}, {}, "there is no layer to compare"),
        ({"x": FLAT[:0]}, {}, "no layer to compare"),
        ({"x": FLAT, "y": np.ones((5, 2, 2))}, {}, "6 rows in x and 5 in y"),
        ({"x": FLAT}, {"label": "z"}, "there is no array 'z' for labels; it has x"),
    ],
)
def test_bad_files_are_told_by_name(content, settings, message, tmp_path):
    file = tmp_path / "a.npz"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        npz(file, content)
    with pytest.raises(ValueError, match=message) as error:
        read_activations(file, **settings)
    assert str(file) in str(error.value)


def test_an_array_over_the_limit_is_refused_before_it_is_read(tmp_path):
    npz_packed(tmp_path / "a.npz", {"x": np.zeros((6, 1000, 3), np.float32)})
    found = read_activations(tmp_path / "a.npz", max_bytes=1000)
    with pytest.raises(ValueError, match="its array 'x' unpacks to 72,000 bytes, more than"):
        rows_of(found, "x")


@pytest.mark.parametrize("path", ["none.npz", "."])
def test_what_is_no_file_is_refused(path, tmp_path):
    with pytest.raises((FileNotFoundError, ValueError)):
        read_activations(tmp_path / path)
