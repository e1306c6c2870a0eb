import numpy as np
import pytest

from jaxalign.data import read_npz

X, Y = np.arange(12.0).reshape(4, 3), np.array([0, 1, 1, 0])


@pytest.mark.parametrize(
    "names",
    [("x", "y"), ("inputs", "labels"), ("images", "targets"), ("X", "Y"), ("x_train", "y_train")],
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
