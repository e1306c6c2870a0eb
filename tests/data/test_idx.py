import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxalign.data import read_idx


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
        (GOOD + b"x", "must hold 24 bytes after its header, for shape .2, 3, 4., found 25"),
        (b"\x89PNG\r\n\x1a\n" * 9, "begins with 89 50 4e 47"),
        (b"\0\0\x0d\1\0\0\0\1\0\0\0\0", "not an IDX file of unsigned bytes"),
    ],
)
def test_foreign_files_are_refused(tmp_path, raw, message):
    (tmp_path / "file").write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        read_idx(tmp_path / "file")
