"""Pickles that can build tensors and nothing else.

A pickle is a program. Here it can name the few globals of files of tensors, and each name means a builder of ours, so
nothing else can be made, called or changed, whatever its opcodes. Any other name is refused when it is named.
"""

import pickle
import pickletools
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

from jaxalign.models.weights.stored import (
    STORAGE_DTYPES,
    Refused,
    Storage,
    StoredArray,
    StoredDtype,
    StoredTensor,
    storage_of,
)


class Builder:
    """A function a pickle may call but, unlike a plain function, not give attributes to."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[..., Any]):
        self._build = build

    def __call__(self, *arguments: Any) -> Any:
        return self._build(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise Refused("it changes what builds its tensors")


class Named(NamedTuple):
    """Stands for a class that is only ever an argument."""

    name: str


class Entries(dict):
    """An OrderedDict; its state, in which torch keeps versions of layers, is let go."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


_TENSOR, _ARRAY, _DTYPE = Builder(StoredTensor), Builder(StoredArray), Builder(StoredDtype)
_EMPTY_ARRAY = Builder(lambda *_: StoredArray())
_SCALAR = Builder(lambda dtype, raw: StoredArray((), dtype, False, raw))
_FROM_BUFFER = Builder(lambda raw, dtype, shape, order: StoredArray(shape, dtype, order == "F", raw))
_BYTES = Builder(lambda text, encoding: bytes(text, "latin1") if encoding == "latin1" else None)

# numpy._core was numpy.core before numpy 2; a pickle keeps the name of its day.
ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): Builder(Entries),
    ("torch._utils", "_rebuild_tensor"): _TENSOR,
    ("torch._utils", "_rebuild_tensor_v2"): _TENSOR,
    ("torch._utils", "_rebuild_parameter"): Builder(lambda data, *_: data),
    **{("torch", kind.name): kind for kind in STORAGE_DTYPES},
    ("numpy", "ndarray"): Named("numpy.ndarray"),
    ("numpy", "dtype"): _DTYPE,
    ("_codecs", "encode"): _BYTES,  # bytes and no bytes, in protocols 0 to 2
    ("__builtin__", "bytes"): Builder(lambda: b""),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _EMPTY_ARRAY for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FROM_BUFFER for core in ("core", "_core")},
}

# Extension codes are globals by number, from a table of the process that is read without asking for a name.
_REFUSED_OPCODES = {"EXT1", "EXT2", "EXT4"}
_MEMO_OPCODES = {"PUT", "BINPUT", "LONG_BINPUT"}


class Program(NamedTuple):
    """What a pickle built: dicts, lists, numbers, text and ``stored``'s classes; the storages it named; where it ends."""

    value: Any
    storages: dict[str, Storage]
    end: int


class _Unpickler(pickle.Unpickler):
    def __init__(self, raw: bytes):
        super().__init__(BytesIO(raw), encoding="latin1")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise Refused(
                f"it asks for {module}.{name}, which no file of tensors needs; nothing of it was run. If you trust the file, "
                "load it with what wrote it and save only the tensors, as torch.save(model.state_dict(), path)"
            ) from None

    def persistent_load(self, pid: Any) -> Storage:
        storage = storage_of(pid)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise Refused(f"it describes the storage {storage.key!r} in two ways")
        return storage


def unpickle(raw: bytes, start: int = 0) -> Program:
    """Run the pickle that begins at ``start``.

    Raises:
      Refused: it asks for anything but tensors.
      ValueError: truncated or damaged.
    """
    try:
        end = _checked_end(raw, start)
        unpickler = _Unpickler(raw[start:end])
        return Program(unpickler.load(), unpickler.storages, end)
    except Refused:
        raise
    except Exception as error:  # a damaged program fails in any way
        raise ValueError(f"its pickle is truncated or damaged ({type(error).__name__}: {error})") from None


def _checked_end(raw: bytes, start: int) -> int:
    """Where the pickle stops; raises for opcodes that reach past names, or make Python reserve memory for nothing."""
    stream = BytesIO(raw)
    stream.seek(start)
    for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
        if opcode.name in _REFUSED_OPCODES:
            raise Refused(f"it uses the opcode {opcode.name} at byte {position}, which no file of tensors needs")
        if opcode.name in _MEMO_OPCODES and isinstance(argument, int) and not 0 <= argument <= count:
            raise Refused(f"it numbers object {argument:,} at byte {position}, after {count:,} steps")
    return stream.tell()
