"""IDX files, the format of MNIST and its relatives, plain or gzipped.

A file is a magic number, the dimensions, then unsigned bytes.
"""

import gzip
import math
import struct
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxalign.data._limit import MAX_BYTES, require_within

_UNSIGNED_BYTE = 0x08
_MOST_DIMENSIONS = 64  # of numpy
_DEFLATED = 1032  # bytes that a byte of gzip unpacks to, at most


def read_idx(path: str | Path, *, max_bytes: int = MAX_BYTES) -> UInt8[np.ndarray, "..."]:
    """The array of bytes in an IDX file.

    Args:
      path: the file; one that begins with gzip's magic number is unpacked under any name.
      max_bytes: the most that the array may take.

    Returns:
      uint8 array of the shape the header states.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not an IDX file of unsigned bytes, truncated, longer than its header says, or more
        than ``max_bytes``.

    Example:
      >>> import tempfile
      >>> from jaxalign.data import read_idx
      >>> with tempfile.NamedTemporaryFile() as file:
      ...     _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9])), file.flush()
      ...     read_idx(file.name).tolist()
      [7, 8, 9]

    Source: the format of MNIST (LeCun, Cortes, Burges).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file at {path}")
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            stream: BufferedIOBase = gzip.GzipFile(fileobj=file) if packed else file
            shape = _read_shape(stream, path)
            size = math.prod(shape)
            require_within(size, max_bytes, str(path))
            # A byte more, to see whether there is one; no room for what cannot come.
            most = path.stat().st_size * (_DEFLATED if packed else 1)
            raw = stream.read(min(size, most) + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(
                f"{path} is a truncated or damaged gzip file ({error}); fetch it again"
            ) from None
    if len(raw) != size:
        found = f"{len(raw)}" if len(raw) < size else "more"
        raise ValueError(
            f"{path} must hold {size} bytes after its header, for shape {shape}, found {found}; "
            "fetch it again"
        )
    return np.frombuffer(raw, np.uint8).reshape(shape)


def _read_shape(stream: BufferedIOBase, path: Path) -> tuple[int, ...]:
    magic = stream.read(4)
    is_idx = len(magic) == 4 and magic[:3] == bytes([0, 0, _UNSIGNED_BYTE])
    if not is_idx or magic[3] > _MOST_DIMENSIONS:
        begin = magic.hex(" ") or "nothing"
        raise ValueError(
            f"{path} is not an IDX file of unsigned bytes: it begins with {begin}, not 00 00 08"
        )
    # The fourth byte is the number of dimensions; each of them follows in 4 bytes, big-endian.
    rank = magic[3]
    lengths = stream.read(4 * rank)
    if len(lengths) < 4 * rank:
        raise ValueError(
            f"{path} is truncated inside its header: {4 + len(lengths)} bytes of {4 + 4 * rank}; "
            "fetch it again"
        )
    return struct.unpack(f">{rank}I", lengths)
