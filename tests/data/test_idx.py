import gzip
import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxalign.data import read_idx
from jaxalign.data._idx_folder import holds_idx_files, read_idx_folder


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


@pytest.mark.parametrize("pack", [lambda raw: raw, gzip.compress])
@given(shape=st.lists(st.integers(0, 6), min_size=0, max_size=3), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_reads_what_was_written(tmp_path_factory, pack, shape, seed):
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    file = tmp_path_factory.mktemp("idx") / "file"
    file.write_bytes(pack(idx(np.asarray(array, np.uint8))))
    np.testing.assert_array_equal(read_idx(file), array)


GOOD = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize("cut", range(len(GOOD)))
def test_every_truncation_is_noticed(tmp_path, cut):
    (tmp_path / "file").write_bytes(GOOD[:cut])
    with pytest.raises(ValueError, match=r"truncated|not an IDX file|must hold 24 bytes"):
        read_idx(tmp_path / "file")


@pytest.mark.parametrize("cut", range(2, len(gzip.compress(GOOD)), 3))
def test_every_truncated_gzip_is_noticed(tmp_path, cut):
    (tmp_path / "file").write_bytes(gzip.compress(GOOD)[:cut])
    with pytest.raises(ValueError, match="truncated"):
        read_idx(tmp_path / "file")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (GOOD + b"x", "must hold 24 bytes after its header, for shape .2, 3, 4., found more"),
        (b"\x89PNG\r\n\x1a\n" * 9, "begins with 89 50 4e 47"),
        (b"\0\0\x0d\1\0\0\0\1\0\0\0\0", "not an IDX file of unsigned bytes"),
    ],
)
def test_foreign_files_are_refused(tmp_path, raw, message):
    (tmp_path / "file").write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        read_idx(tmp_path / "file")


@pytest.mark.parametrize("pack", [lambda raw: raw, gzip.compress])
def test_a_limit_that_can_be_raised(tmp_path, pack):
    (tmp_path / "file").write_bytes(pack(GOOD))
    with pytest.raises(ValueError, match="unpacks to 24 bytes, more than max_bytes=23; raise"):
        read_idx(tmp_path / "file", max_bytes=23)
    assert read_idx(tmp_path / "file", max_bytes=24).size == 24
    for limit in (0, -1, "1 GB", None):
        with pytest.raises(ValueError, match="max_bytes must be a number of at least 1"):
            read_idx(tmp_path / "file", max_bytes=limit)


@pytest.mark.parametrize("pack", [lambda raw: raw, gzip.compress])
@pytest.mark.parametrize("shape", [(2**31,), (2**32 - 1,) * 3, (2**16, 2**15)])
def test_no_room_is_made_for_what_cannot_come(tmp_path, pack, shape):
    head = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    (tmp_path / "file").write_bytes(pack(head + bytes(9)))
    with pytest.raises(ValueError, match=r"max_bytes|must hold"):
        read_idx(tmp_path / "file")


def test_more_than_a_header_says_is_not_unpacked(tmp_path):
    (tmp_path / "file").write_bytes(gzip.compress(idx(np.zeros(9, np.uint8)) + bytes(2**22)))
    with pytest.raises(ValueError, match=r"must hold 9 bytes after its header.* found more"):
        read_idx(tmp_path / "file")


def test_what_is_no_file_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError, match="there is no file at"):
        read_idx(tmp_path / "pipe")


@pytest.mark.parametrize(
    "name",
    [
        "{0}-{1}-idx{2}-ubyte",
        "{0}-{1}-idx{2}-ubyte.gz",
        "{0}-{1}.idx{2}-ubyte",
        "{0}-{1}.idx{2}-ubyte/{0}-{1}.idx{2}-ubyte",
        "{0}_{1}_idx{2}_ubyte.GZ",
        "{0}-{1}.idx",
        "Emnist-Letters-{0}-{1}-idx{2}-ubyte.gz",
    ],
)
@pytest.mark.parametrize("test", ["t10k", "test"])
def test_files_are_found_under_their_usual_names(tmp_path, name, test):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 3, 2), dtype=np.uint8)
    for i, part in enumerate(("train", test)):
        for kind, array in (("images", images + i), ("labels", np.arange(4, dtype=np.uint8) + i)):
            file = tmp_path / name.format(part, kind, array.ndim)
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(idx(array))
    assert holds_idx_files(tmp_path)
    for i, part in enumerate(("train", "test")):
        found, labels = read_idx_folder(tmp_path, part)
        np.testing.assert_array_equal(found, images + i)
        np.testing.assert_array_equal(labels, np.arange(4) + i)


def test_files_of_several_sets_and_none(tmp_path):
    assert not holds_idx_files(tmp_path)
    for name in ("emnist-digits-train-images-idx3-ubyte", "emnist-letters-train-images-idx3-ubyte"):
        (tmp_path / name).write_bytes(GOOD)
    with pytest.raises(ValueError, match="of several data sets"):
        read_idx_folder(tmp_path, "train")
    with pytest.raises(FileNotFoundError, match="no images to test on; it must hold train-images"):
        read_idx_folder(tmp_path, "test")
