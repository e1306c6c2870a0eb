import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest

from jaxalign.data import read_npz

X, Y = np.arange(12.0).reshape(4, 3), np.array([0, 1, 1, 0])


@pytest.mark.parametrize(
    "names",
    [
        ("x", "y"),
        ("inputs", "labels"),
        ("images", "targets"),
        ("X", "Y"),
        ("x_train", "y_train"),
        ("train_images", "train_labels"),
    ],
)
def test_usual_names_are_known(tmp_path, names):
    np.savez(tmp_path / "some.npz", **dict(zip(names, (X, Y), strict=True)), other=np.zeros(3))
    found = read_npz(tmp_path / "some.npz")
    np.testing.assert_array_equal(found.inputs, X)
    np.testing.assert_array_equal(found.labels, Y)


def test_other_names_can_be_given(tmp_path):
    np.savez(tmp_path / "some.npz", a=X, b=Y, x=Y)
    found = read_npz(tmp_path / "some.npz", inputs="a", labels="b")
    np.testing.assert_array_equal(found.inputs, X)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, r"none of its arrays \(x\) is named as labels are: y, labels"),
        ({"a": X, "y": Y}, r"none of its arrays \(a, y\) is named as inputs are"),
        ({"x": X, "y": Y[:3]}, r"one label per input, found inputs \(4, 3\) and labels \(3,\)"),
        ({"x": Y, "y": Y}, r"inputs \(n, ...\)"),
        ({"x": X[:0], "y": Y[:0]}, r"inputs \(n, ...\)"),
        ({"x": X, "y": np.array([{}, 1, 2, 3], dtype=object)}, "allow_pickle"),
    ],
)
def test_what_makes_no_pair_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "some.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_npz(tmp_path / "some.npz")


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path, share):
    np.savez(tmp_path / "some.npz", x=X, y=Y)
    whole = (tmp_path / "some.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"cut\.npz cannot be read"):
        read_npz(tmp_path / "cut.npz")


def test_damaged_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "some.npz", x=X, y=Y)
    whole = bytearray((tmp_path / "some.npz").read_bytes())
    whole[whole.index(X.tobytes()[8:24]) + 3] ^= 0xFF
    (tmp_path / "some.npz").write_bytes(whole)
    with pytest.raises(ValueError, match="CRC"):
        read_npz(tmp_path / "some.npz")


def test_a_single_array_and_no_file(tmp_path):
    np.save(tmp_path / "some.npy", X)
    (tmp_path / "some.npy").rename(tmp_path / "some.npz")
    with pytest.raises(ValueError, match="single array"):
        read_npz(tmp_path / "some.npz")
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "none.npz")


@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", "f2", "<i8", ">i2", "u1", "?", "g"])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_numbers_of_every_kind_come_in_as_they_are(tmp_path, kind, layout):
    values = layout(np.arange(12).reshape(4, 3).astype(kind))
    np.savez(tmp_path / "some.npz", x=values, y=Y.astype(kind))
    found = read_npz(tmp_path / "some.npz")
    np.testing.assert_array_equal(found.inputs, values)
    np.testing.assert_array_equal(found.labels, Y.astype(kind))
    assert found.inputs.dtype.isnative
    assert found.inputs.dtype.itemsize <= 8


def test_bfloat16_becomes_float32(tmp_path):
    values = X.astype(ml_dtypes.bfloat16)
    np.savez(tmp_path / "some.npz", x=values, y=Y)
    found = read_npz(tmp_path / "some.npz").inputs
    np.testing.assert_array_equal(found, values.astype(np.float32))
    assert found.dtype == np.float32


def test_text_of_bytes_and_single_columns_are_labels(tmp_path):
    for labels in (np.array(["a", "é", "a", "b"]), Y[:, None]):
        np.savez(tmp_path / "some.npz", x=X, y=labels)
        np.testing.assert_array_equal(read_npz(tmp_path / "some.npz").labels, labels.ravel())
    np.savez(tmp_path / "some.npz", x=X, y=np.char.encode(["a", "é", "a", "b"], "utf-8"))
    assert read_npz(tmp_path / "some.npz").labels.tolist() == ["a", "é", "a", "b"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X * 1j}, "inputs of some.npz must be real numbers, found complex128"),
        ({"x": X.astype(str)}, "inputs of some.npz must be real numbers, found <U"),
        ({"x": X.astype("datetime64[D]")}, "found datetime64"),
        ({"x": X.astype(ml_dtypes.float8_e4m3fn)}, r"found \|V1"),
        ({"x": np.zeros((4, 3), [("a", int)])}, "must be real numbers"),
        # Where long doubles are no longer than doubles, it is infinite from the start.
        *(
            [({"x": np.full(X.shape, np.longdouble("1e400"))}, "must fit in float64, found 1e")]
            if np.finfo(np.longdouble).max > np.finfo(np.float64).max
            else []
        ),
        ({"y": Y * 1j}, "labels of some.npz must be integers.*found complex128"),
        ({"y": Y.astype("datetime64[D]")}, "labels of some.npz must be .*found datetime64"),
        ({"y": np.array(["a", np.nan, "b", "a"])}, "must be known, found 'nan' in row 1"),
        ({"y": np.array([b"\xff", b"a", b"a", b"a"])}, "can't decode byte"),
        ({"y": np.array(3)}, "one label per input"),
    ],
)
def test_other_kinds_are_refused_by_name(tmp_path, arrays, message):
    np.savez(tmp_path / "some.npz", **({"x": X, "y": Y} | arrays))
    with pytest.raises(ValueError, match=message):
        read_npz(tmp_path / "some.npz")


def test_a_limit_that_can_be_raised(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((4, 2**20)), y=Y)
    assert (tmp_path / "bomb.npz").stat().st_size < 2**17
    with pytest.raises(ValueError, match=r"'x' unpacks to .* more than max_bytes=16,777,216"):
        read_npz(tmp_path / "bomb.npz", max_bytes=2**24)
    assert read_npz(tmp_path / "bomb.npz", max_bytes=2**26).inputs.shape == (4, 2**20)


@pytest.mark.parametrize("shape", [(10**13,), (4, 10**9), (2**62, 2**62), (-4, 3)])
def test_headers_that_promise_more_than_there_is(tmp_path, shape):
    head = str({"descr": "<f8", "fortran_order": False, "shape": shape}).encode()
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head) + 1) + head + b"\n" + bytes(96)
    np.savez(tmp_path / "some.npz", y=Y)
    with zipfile.ZipFile(tmp_path / "some.npz", "a") as archive:
        archive.writestr("x.npy", array)
    with pytest.raises(ValueError, match=r"some\.npz cannot be read"):
        read_npz(tmp_path / "some.npz")


def test_other_members_of_an_archive_are_no_arrays(tmp_path):
    np.savez(tmp_path / "some.npz", y=Y)
    with zipfile.ZipFile(tmp_path / "some.npz", "a") as archive:
        archive.writestr("x", b"text")
    with pytest.raises(ValueError, match="'x' is not an array"):
        read_npz(tmp_path / "some.npz")
