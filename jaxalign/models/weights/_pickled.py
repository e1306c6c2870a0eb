"""An unpickler that can build tensors and nothing else.

A pickle is a program. Here the only globals it can name are those in files of tensors, and each
name stands for a builder of this module. So no opcode can make, call or change anything else. Any
other name is refused when the pickle names it.
"""

import pickle
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

from jaxalign.models.weights._opcodes import checked_end
from jaxalign.models.weights._stored import (
    BFLOAT16,
    STORAGE_DTYPES,
    Refused,
    Storage,
    StorageType,
    StoredArray,
    StoredDtype,
    StoredTensor,
    storage_of,
)


class Builder:
    """A function that a pickle may call; it cannot set attributes, as it could on a function."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[..., Any]):
        self._build = build

    def __call__(self, *arguments: Any) -> Any:
        return self._build(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise Refused("it changes what builds its tensors")


class Named(NamedTuple):
    """Stands for a class that occurs as an argument only."""

    name: str


class Entries(dict):
    """An OrderedDict; its state, the versions of layers in torch, is dropped."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


def _same_tensor(data: Any, *_: Any) -> StoredTensor:
    # Without this check the builder could return a tuple, and checked_end counts on none doing so.
    if not isinstance(data, StoredTensor):
        raise Refused(f"it makes a parameter of a {type(data).__name__}")
    return data


def _no_tensor(*_: Any) -> StoredTensor:
    raise Refused("it builds a tensor whose dtype has no name")


_TENSOR = Builder(StoredTensor)
_DTYPE = Builder(StoredDtype)
_EMPTY_ARRAY = Builder(lambda *_: StoredArray())
_SCALAR = Builder(lambda dtype, raw: StoredArray((), dtype, False, raw))
_FROM_BUFFER = Builder(
    lambda raw, dtype, shape, order: StoredArray(shape, dtype, order == "F", raw)
)
_BYTES = Builder(lambda text, encoding: bytes(text, "latin1") if encoding == "latin1" else None)

# numpy._core was numpy.core before numpy 2; a pickle keeps the name of the numpy that wrote it.
ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): Builder(Entries),
    ("torch._utils", "_rebuild_tensor"): _TENSOR,
    ("torch._utils", "_rebuild_tensor_v2"): _TENSOR,
    ("torch._utils", "_rebuild_parameter"): Builder(_same_tensor),
    # So torch saves dtypes without a storage class, such as float8; each is refused by its name.
    ("torch._utils", "_rebuild_tensor_v3"): Builder(_no_tensor),
    ("torch.storage", "UntypedStorage"): StorageType("ByteStorage"),
    **{("torch", kind.name): kind for kind in STORAGE_DTYPES},
    ("numpy", "ndarray"): Named("numpy.ndarray"),
    ("numpy", "dtype"): _DTYPE,
    ("ml_dtypes", "bfloat16"): BFLOAT16.name,
    # How protocols 0 to 2 write bytes, and empty bytes.
    ("_codecs", "encode"): _BYTES,
    ("__builtin__", "bytes"): Builder(lambda: b""),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _EMPTY_ARRAY for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FROM_BUFFER for core in ("core", "_core")},
}


class Program(NamedTuple):
    """What a pickle built.

    Attributes:
      value: dicts, lists, numbers, text and the classes of ``_stored``.
      storages: those that it named, by key.
      end: where the pickle ends.
    """

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
                f"it asks for {module}.{name}, which tensors of bool, uint8, int8 to int64, "
                "float16 to float64 or bfloat16 do not need; nothing of it was run. If you trust "
                "the file, load it with what wrote it and save only such tensors, as "
                "torch.save(model.state_dict(), path)"
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
        end = checked_end(raw, start)
        unpickler = _Unpickler(raw[start:end])
        return Program(unpickler.load(), unpickler.storages, end)
    except Refused:
        raise
    except Exception as error:
        # A damaged program can fail in any way.
        raise ValueError(
            f"its pickle is truncated or damaged ({type(error).__name__}: {error})"
        ) from None
