"""IDX files, the format of MNIST and its relatives, plain or gzipped.

A file is a magic number, the dimensions, then unsigned bytes.
"""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

_UNSIGNED_BYTE = 0x08


def read_idx(path: str | Path) -> UInt8[np.ndarray, "..."]:
    """The array of bytes in an IDX file.

    Args:
      path: the file; one that begins with gzip's magic number is unpacked under any name.

    Returns:
      uint8 array of the shape the header states.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not an IDX file of unsigned bytes, truncated, or longer than its header says.

    Example:
      >>> import tempfile
      >>> from jaxalign.data import read_idx
      >>> with tempfile.NamedTemporaryFile() as file:
      ...     _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9])), file.flush()
      ...     read_idx(file.name).tolist()
      [7, 8, 9]
    """
    raw = Path(path).read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(
                f"{path} is a truncated or damaged gzip file ({error}); fetch it again"
            ) from None
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _UNSIGNED_BYTE:
        begin = raw[:4].hex(" ") or "nothing"
        raise ValueError(
            f"{path} is not an IDX file of unsigned bytes: it begins with {begin}, not 00 00 08"
        )
    # The fourth byte is the number of dimensions; each of them follows in 4 bytes, big-endian.
    rank = raw[3]
    start = 4 + 4 * rank
    if len(raw) < start:
        raise ValueError(
            f"{path} is truncated inside its header: {len(raw)} bytes of {start}; fetch it again"
        )
    shape = struct.unpack(f">{rank}I", raw[4:start])
    size = int(np.prod(shape, dtype=np.int64))
    if len(raw) - start != size:
        raise ValueError(
            f"{path} must hold {size} bytes after its header, for shape {shape}, "
            f"found {len(raw) - start}; fetch it again"
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)
