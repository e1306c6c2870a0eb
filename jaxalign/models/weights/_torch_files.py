"""torch.save's two formats, zip and legacy.

Both give an object whose leaves are descriptions of tensors, and a reader of their storages.
"""

import zipfile
from collections.abc import Callable
from functools import cache
from reprlib import repr as repr_of
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from jaxalign.models.weights._pickled import unpickle
from jaxalign.models.weights._stored import Refused, Storage

MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


class Contents(NamedTuple):
    """The object in a file, and the function that reads a storage, (storage) → (count,)."""

    value: Any
    numbers: Callable[[Storage], np.ndarray]


def torch_program(archive: zipfile.ZipFile) -> zipfile.ZipInfo | None:
    """The pickle of a file in torch's zip format, or None if it is not such a file."""
    programs = [
        entry for entry in archive.infolist() if entry.filename.split("/")[1:] == ["data.pkl"]
    ]
    if len(programs) == 1:
        return programs[0]
    return None


def torch_zip(archive: zipfile.ZipFile, program: zipfile.ZipInfo) -> Contents:
    """The object in torch's zip format.

    Raises:
      ValueError: compressed entries, which would let a small file fill the memory; a damaged file.
    """
    root = program.filename.removesuffix("data.pkl")
    entries = {entry.filename: entry for entry in archive.infolist()}
    if any(
        entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size
        for entry in archive.infolist()
    ):
        raise Refused(
            "its entries are compressed, which torch's never are; save it again with torch.save"
        )
    order = entries.get(f"{root}byteorder")
    swapped = order is not None and archive.read(order).strip() == b"big"

    @cache
    def numbers(storage: Storage) -> np.ndarray:
        entry = entries.get(f"{root}data/{storage.key}")
        needed = storage.length * storage.dtype.itemsize
        if entry is None or entry.file_size != needed:
            size = "none" if entry is None else f"{entry.file_size}"
            raise ValueError(f"its entry data/{storage.key} must have {needed} bytes, found {size}")
        return _numbers(archive.read(entry), storage.dtype, swapped)

    return Contents(unpickle(archive.read(program)).value, numbers)


def torch_legacy(raw: bytes, start: int) -> Contents:
    """The object in torch's format before 1.6: five pickles, then the storages.

    A storage is its count in 8 bytes and its numbers, little-endian on every machine.

    Args:
      raw: the file.
      start: the end of the first pickle.

    Raises:
      ValueError: a truncated or damaged file, storages of another size than their tensors need.
    """
    protocol = unpickle(raw, start)
    if protocol.value != _PROTOCOL:
        raise ValueError(
            f"the protocol of a legacy torch file must be {_PROTOCOL}, "
            f"found {repr_of(protocol.value)}"
        )
    machine = unpickle(raw, protocol.end)
    program = unpickle(raw, machine.end)
    order = unpickle(raw, program.end)
    keys = order.value
    texts = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not texts or sorted(keys) != sorted(program.storages):
        raise ValueError("its list of storages is not that of its tensors")
    storages: dict[Storage, np.ndarray] = {}
    position = order.end
    for key in keys:
        storage = program.storages[key]
        begin = position + 8
        position = begin + storage.length * storage.dtype.itemsize
        count = int.from_bytes(raw[begin - 8 : begin], "little")
        if position > len(raw) or count != storage.length:
            raise ValueError(
                f"its storage {key} must hold {storage.length} numbers of {storage.dtype}, "
                f"found {count} and {max(len(raw) - begin, 0)} bytes to the end of the file"
            )
        storages[storage] = _numbers(memoryview(raw)[begin:position], storage.dtype, swapped=False)
    if position != len(raw):
        raise ValueError(f"its last storage ends at byte {position:,} of {len(raw):,}")
    return Contents(program.value, storages.__getitem__)


def _numbers(
    raw: bytes | memoryview, dtype: np.dtype, swapped: bool
) -> Shaped[np.ndarray, " count"]:
    """Little-endian numbers, or big-endian ones if ``swapped``."""
    # By way of unsigned integers, as bfloat16 has no dtype of the other byte order.
    order = ">" if swapped else "<"
    unsigned = np.frombuffer(raw, f"{order}u{dtype.itemsize}")
    return unsigned.astype(unsigned.dtype.newbyteorder("="), copy=False).view(dtype)
