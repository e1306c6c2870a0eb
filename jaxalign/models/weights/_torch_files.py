"""torch.save's two formats, zip and legacy: an object whose leaves are arrays still to be built,
and their storages.
"""

import zipfile
from collections.abc import Callable
from functools import cache
from reprlib import repr as repr_of
from typing import Any, NamedTuple

import numpy as np

from jaxalign.models.weights._pickled import unpickle
from jaxalign.models.weights._stored import Refused, Storage

MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


class Contents(NamedTuple):
    """What a file holds, and how the numbers of its storages are read, (storage) → (count,)."""

    value: Any
    numbers: Callable[[Storage], np.ndarray]


def torch_program(archive: zipfile.ZipFile) -> zipfile.ZipInfo | None:
    """The pickle of a file in torch's zip format, or None if it is no such file."""
    found = [entry for entry in archive.infolist() if entry.filename.split("/")[1:] == ["data.pkl"]]
    return found[0] if len(found) == 1 else None


def torch_zip(archive: zipfile.ZipFile, program: zipfile.ZipInfo) -> Contents:
    """The object in torch's zip format.

    Raises:
      ValueError: entries that are compressed, so that a small file may fill the memory; damaged.
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
        wanted = storage.length * storage.dtype.itemsize
        if entry is None or entry.file_size != wanted:
            found = "none" if entry is None else f"{entry.file_size}"
            raise ValueError(
                f"its entry data/{storage.key} must have {wanted} bytes, found {found}"
            )
        return _numbers(archive.read(entry), storage.dtype, swapped)

    return Contents(unpickle(archive.read(program)).value, numbers)


def torch_legacy(raw: bytes, start: int) -> Contents:
    """The object in torch's format before 1.6: five pickles, of which the first ended at ``start``,
    then the storages.

    A storage is its count in 8 bytes and its numbers, all little-endian whatever machine wrote
    them.

    Raises:
      ValueError: truncated, damaged, or storages of another size than their tensors say.
    """
    protocol = unpickle(raw, start)
    if protocol.value != _PROTOCOL:
        raise ValueError(
            f"the protocol of a legacy torch file must be {_PROTOCOL}, found {repr_of(protocol.value)}"
        )
    machine = unpickle(raw, protocol.end)
    program = unpickle(raw, machine.end)
    order = unpickle(raw, program.end)
    keys = order.value
    texts = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not texts or sorted(keys) != sorted(program.storages):
        raise ValueError("its list of storages is not that of its tensors")
    found, position = {}, order.end
    for storage in (program.storages[key] for key in keys):
        begin = position + 8
        position = begin + storage.length * storage.dtype.itemsize
        count = int.from_bytes(raw[begin - 8 : begin], "little")
        if position > len(raw) or count != storage.length:
            there = f"found {count} and {max(len(raw) - begin, 0)} bytes to the end of the file"
            raise ValueError(
                f"its storage {storage.key} must hold {storage.length} numbers of {storage.dtype}, {there}"
            )
        found[storage] = _numbers(memoryview(raw)[begin:position], storage.dtype, swapped=False)
    return Contents(program.value, found.__getitem__)


def _numbers(raw: bytes | memoryview, dtype: np.dtype, swapped: bool) -> np.ndarray:
    """Little-endian bytes, or swapped ones, as numbers of a dtype that need not have a swapped
    twin, such as bfloat16.
    """
    whole = np.frombuffer(raw, f"{'>' if swapped else '<'}u{dtype.itemsize}")
    return whole.astype(whole.dtype.newbyteorder("="), copy=False).view(dtype)
