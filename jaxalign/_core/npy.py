"""A .npy file that grows by rows and can be loaded at any time."""

from pathlib import Path

import numpy as np
from numpy.lib import format as npy


def append_rows(file: Path, rows: np.ndarray) -> None:
    """Append ``rows`` (t, ...) to a .npy file of rows of that shape and dtype, which is made when
    needed.

    The data come first and the header, which says how many rows count, last: a reader never sees
    half a row, and what a killed writer left behind the last row that counts is written over.
    (numpy keeps room in a header for its first axis.)
    """
    row_shape = rows.shape[1:]
    with open(file, "r+b" if file.exists() else "w+b") as stream:
        empty = stream.seek(0, 2) == 0
        count, begin = (
            (0, _write_header(stream, (0, *row_shape), rows.dtype))
            if empty
            else _read_header(stream, rows)
        )
        stream.seek(begin + count * int(np.prod(row_shape, dtype=np.int64)) * rows.dtype.itemsize)
        stream.write(np.ascontiguousarray(rows).data)
        stream.flush()
        if _write_header(stream, (count + len(rows), *row_shape), rows.dtype) != begin:
            raise OSError(f"{file}: the header outgrew its place")


def keep_rows(file: Path, count: int) -> None:
    """Let no more than the first ``count`` rows of a file count, as if the others had never been
    appended.

    Raises:
      ValueError: the file holds fewer.
    """
    with open(file, "r+b") as stream:
        npy.read_magic(stream)
        shape, _, dtype = npy.read_array_header_1_0(stream)
        if shape[0] < count:
            raise ValueError(f"{file} must hold {count} rows to go on from, found {shape[0]}")
        begin = stream.tell()
        if _write_header(stream, (count, *shape[1:]), dtype) != begin:
            raise OSError(f"{file}: the header outgrew its place")


def _read_header(stream, rows: np.ndarray) -> tuple[int, int]:
    """(rows that count, where data begin)."""
    stream.seek(0)
    npy.read_magic(stream)
    shape, _, dtype = npy.read_array_header_1_0(stream)
    if shape[1:] != rows.shape[1:] or dtype != rows.dtype:
        raise ValueError(
            f"{stream.name} holds rows {shape[1:]} {dtype}, found rows {rows.shape[1:]} {rows.dtype}"
        )
    return shape[0], stream.tell()


def _write_header(stream, shape: tuple[int, ...], dtype: np.dtype) -> int:
    stream.seek(0)
    npy.write_array_header_1_0(
        stream, {"shape": shape, "fortran_order": False, "descr": npy.dtype_to_descr(dtype)}
    )
    return stream.tell()
