"""Tensors from files of several formats; the format is recognised by the file's content."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from reprlib import repr as repr_of
from typing import Any

import ml_dtypes  # noqa: F401  (its import lets safetensors return bfloat16)
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from jaxalign.models.weights._npz import npz
from jaxalign.models.weights._pickled import unpickle
from jaxalign.models.weights._stored import Refused, Storage, StoredArray, StoredTensor
from jaxalign.models.weights._torch_files import (
    MAGIC,
    Contents,
    torch_legacy,
    torch_program,
    torch_zip,
)

_NO_STORAGES: dict[Storage, np.ndarray] = {}
_WRAPPERS = ("state_dict", "model")
_DAMAGED = (ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error, SafetensorError)


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors in a file of weights, by name.

    Formats are safetensors, torch.save (zip or legacy), .npz, and pickles of arrays. From a
    checkpoint, only the content of ``state_dict`` or ``model`` is read. A prefix ``module.`` of all
    names is removed. Nested dicts and lists give dotted names, "conv1.0". Pickles are run by a
    reader that can build tensors and nothing else.

    Args:
      path: the file, with any name.

    Returns:
      name → array with the shape, dtype (also bfloat16) and strides it was saved with. Arrays may
      share memory and be read-only.

    Raises:
      FileNotFoundError: no such file.
      ValueError: another format; a truncated or damaged file; content other than booleans, integers
        and floats; or a pickle that asks for a global that no file of tensors needs, which the
        message names.

    Example:
      >>> import tempfile
      >>> import numpy as np
      >>> from jaxalign.models.weights import read
      >>> with tempfile.NamedTemporaryFile(suffix=".npz") as file:
      ...     np.savez(file, **{"module.fc.weight": np.ones((2, 3), np.float16)})
      ...     _ = file.flush()
      ...     {name: (a.shape, a.dtype.name) for name, a in read(file.name).items()}
      {'fc.weight': ((2, 3), 'float16')}
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; path must be the file of weights in it")
    try:
        tensors = _tensors(path)
    except _DAMAGED as error:
        advice = "" if isinstance(error, Refused) else "; fetch it again if it should be weights"
        raise ValueError(f"{path} cannot be read: {error}{advice}") from None
    return _without_prefix(tensors, "module.")


def _tensors(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        begin = file.read(16)
    size = path.stat().st_size
    if begin.startswith(b"PK"):
        return _zipped(path, size)
    # safetensors: 8 bytes with the length of a JSON header, then the header.
    if begin[8:9] == b"{" and int.from_bytes(begin[:8], "little") <= size - 8:
        return load_file(path)
    # A pickle: the opcode PROTO, or the first opcodes of protocols without it.
    if begin[:1] and begin[:1] in b"\x80(}]c":
        return _pickled(path.read_bytes())
    raise ValueError(
        f"it begins with {begin!r}, which is neither safetensors, torch.save, .npz nor a pickle"
    )


def _zipped(path: Path, size: int) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            # Entries that share bytes of the file could expand a few bytes without bound.
            if sum(entry.compress_size for entry in archive.infolist()) > size:
                raise Refused("its entries overlap or are larger than the file")
            program = torch_program(archive)
            if program is not None:
                return _built(torch_zip(archive, program), size)
            names = archive.namelist()
            if names and all(name.endswith(".npy") for name in names):
                return npz(archive)
    except OSError as error:
        # A damaged directory makes zipfile seek to a position before the file.
        raise ValueError(f"it is a damaged zip file ({error})") from None
    raise ValueError(
        f"it is a zip file of {', '.join(names[:5]) or 'nothing'}, neither torch.save's nor .npz"
    )


def _pickled(raw: bytes) -> dict[str, np.ndarray]:
    first = unpickle(raw)
    if first.value == MAGIC:
        return _built(torch_legacy(raw, first.end), len(raw))
    if first.storages:
        raise Refused("it refers to torch storages and is no file of torch.save")
    return _built(Contents(first.value, _NO_STORAGES.__getitem__), len(raw))


def _built(contents: Contents, size: int) -> dict[str, np.ndarray]:
    """The tensors in ``contents``, from a file of ``size`` bytes."""
    value = _unwrapped(contents.value)
    if not isinstance(value, dict):
        raise Refused(
            f"it holds {_kind(value)}, not tensors by name; save a dict, as model.state_dict()"
        )
    tensors: dict[str, np.ndarray] = {}
    copied = 0
    for name, leaf in _leaves(value, "", set()):
        if not isinstance(leaf, StoredTensor | StoredArray):
            raise Refused(
                f"it holds {_kind(leaf)} under {name!r}, where a tensor should be; "
                "save only the state dict"
            )
        if name in tensors:
            raise Refused(f"it holds two tensors under {name!r}")
        tensors[name] = leaf.array(contents.numbers)
        # A few bytes that are used again and again must not fill the memory.
        if isinstance(leaf, StoredArray):
            copied += tensors[name].nbytes
        if copied > size:
            raise Refused(f"it uses the bytes of its arrays over and over, up to {name!r}")
    return tensors


def _unwrapped(value: Any) -> Any:
    """The innermost dict under the keys that checkpoints keep their tensors under."""
    inner = [value]
    while inner:
        value = inner[0]
        inner = []
        if isinstance(value, dict):
            inner = [value[key] for key in _WRAPPERS if isinstance(value.get(key), dict)]
    return value


def _leaves(value: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Dotted names and leaves of nested containers."""
    if not isinstance(value, dict | list) and type(value) is not tuple:
        yield name, value
        return
    # Containers that contain each other have endless leaves.
    if id(value) in seen and value:
        raise Refused(f"it holds the same {_kind(value)} twice, the second time under {name!r}")
    seen.add(id(value))
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in entries:
        if not isinstance(key, str | int):
            raise Refused(
                f"it has the key {repr_of(key)}, a {_kind(key)}, among the names of tensors"
            )
        yield from _leaves(inner, f"{name}.{key}" if name else str(key), seen)


def _kind(value: Any) -> str:
    return {StoredTensor: "tensor", StoredArray: "array"}.get(type(value), type(value).__name__)


def _without_prefix(tensors: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    if not all(name.startswith(prefix) for name in tensors):
        return tensors
    return {name.removeprefix(prefix): array for name, array in tensors.items()}
