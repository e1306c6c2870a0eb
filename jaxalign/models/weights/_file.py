"""Tensors from one file; the format is recognised by the file's content."""

import os
import zipfile
from pathlib import Path

import numpy as np

from jaxalign.models.weights._npz import npz
from jaxalign.models.weights._pickled import unpickle
from jaxalign.models.weights._safetensors import is_safetensors, safetensors
from jaxalign.models.weights._state_dict import state_dict
from jaxalign.models.weights._stored import Refused, Storage, StoredArray
from jaxalign.models.weights._torch_files import (
    MAGIC,
    Contents,
    torch_legacy,
    torch_program,
    torch_zip,
)

_ZIP_END = 22
"""Bytes of the record that ends a zip file, before its comment."""
_MANY = 0xFFFF
_NO_STORAGES: dict[Storage, np.ndarray] = {}


def tensors_in(path: Path) -> dict[str, np.ndarray]:
    """The tensors in a file of weights, by name. A damaged file can fail in any way."""
    with path.open("rb") as file:
        begin = file.read(16)
    size = path.stat().st_size
    if begin.startswith(b"PK"):
        return _zipped(path, size)
    if is_safetensors(begin, size):
        return safetensors(path)
    # A pickle: the opcode PROTO, or the first opcodes of protocols without it.
    if begin[:1] and begin[:1] in b"\x80(}]c":
        return _pickled(path.read_bytes())
    raise ValueError(
        f"it begins with {begin!r}, which is neither safetensors, torch.save, .npz nor a pickle"
    )


def _zipped(path: Path, size: int) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        listed = _listed_entries(path, archive)
        if len(set(names)) < len(names) or listed not in (len(names), _MANY):
            raise Refused(f"it lists {listed} entries, found {len(set(names))} by name")
        # Entries that share bytes of the file could expand a few bytes without bound.
        if sum(entry.compress_size for entry in archive.infolist()) > size:
            raise Refused("its entries overlap or are larger than the file")
        program = torch_program(archive)
        if program is not None:
            return _built(torch_zip(archive, program), size)
        if names and all(name.endswith(".npy") for name in names):
            return npz(archive)
    raise ValueError(
        f"it is a zip file of {', '.join(names[:5]) or 'nothing'}, neither torch.save's nor .npz"
    )


def _listed_entries(path: Path, archive: zipfile.ZipFile) -> int:
    """How many entries the end of a zip file counts, at most _MANY; zipfile does not look there."""
    with path.open("rb") as file:
        file.seek(-(_ZIP_END + len(archive.comment)), os.SEEK_END)
        return int.from_bytes(file.read(_ZIP_END)[10:12], "little")


def _pickled(raw: bytes) -> dict[str, np.ndarray]:
    first = unpickle(raw)
    if first.value == MAGIC:
        return _built(torch_legacy(raw, first.end), len(raw))
    if first.storages:
        raise Refused("it refers to torch storages and is not a file of torch.save")
    if first.end != len(raw):
        raise ValueError(f"its pickle ends at byte {first.end:,} of {len(raw):,}")
    return _built(Contents(first.value, _NO_STORAGES.__getitem__), len(raw))


def _built(contents: Contents, size: int) -> dict[str, np.ndarray]:
    """The tensors in ``contents``, from a file of ``size`` bytes."""
    tensors: dict[str, np.ndarray] = {}
    copied = 0
    for name, leaf in state_dict(contents.value):
        if name in tensors:
            raise Refused(f"it holds two tensors under {name!r}")
        tensors[name] = leaf.array(contents.numbers)
        # A few bytes that are used again and again must not fill the memory.
        if isinstance(leaf, StoredArray):
            copied += tensors[name].nbytes
        if copied > size:
            raise Refused(f"it uses the bytes of its arrays over and over, up to {name!r}")
    return tensors
