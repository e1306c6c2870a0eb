"""A .npy file that grows by rows and can be loaded at any time."""

from pathlib import Path

import numpy as np
from numpy.lib import format as npy


def append_rows(file: Path, rows: np.ndarray) -> None:
    """Append ``rows`` (t, ...) to a .npy file of rows of that shape and dtype; create it if it is
    missing.

    The data are written first and the header, which holds the number of rows, last. So a reader
    never sees half a row, and what a killed writer left after the last counted row is overwritten.
    """
    row_shape = rows.shape[1:]
    with open(file, "r+b" if file.exists() else "w+b") as stream:
        is_empty = stream.seek(0, 2) == 0
        if is_empty:
            count = 0
            begin = _write_header(stream, (0, *row_shape), rows.dtype)
        else:
            count, begin = _read_header(stream, rows)
        stream.seek(begin + count * int(np.prod(row_shape, dtype=np.int64)) * rows.dtype.itemsize)
        stream.write(np.ascontiguousarray(rows).data)
        stream.flush()
        # numpy pads a header for a longer first axis, so data begin where they did before.
        if _write_header(stream, (count + len(rows), *row_shape), rows.dtype) != begin:
            raise OSError(f"{file}: the header no longer fits before the data")


def keep_rows(file: Path, count: int) -> None:
    """Cut a file to its first ``count`` rows.

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
            raise OSError(f"{file}: the header no longer fits before the data")


def _read_header(stream, rows: np.ndarray) -> tuple[int, int]:
    """(number of rows, byte where the data begin)."""
    stream.seek(0)
    npy.read_magic(stream)
    shape, _, dtype = npy.read_array_header_1_0(stream)
    if shape[1:] != rows.shape[1:] or dtype != rows.dtype:
        raise ValueError(
            f"{stream.name} holds rows {shape[1:]} {dtype}, "
            f"found rows {rows.shape[1:]} {rows.dtype}"
        )
    return shape[0], stream.tell()


def _write_header(stream, shape: tuple[int, ...], dtype: np.dtype) -> int:
    stream.seek(0)
    npy.write_array_header_1_0(
        stream, {"shape": shape, "fortran_order": False, "descr": npy.dtype_to_descr(dtype)}
    )
    return stream.tell()
