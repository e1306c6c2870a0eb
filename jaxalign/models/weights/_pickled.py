"""Pickles that can build tensors and nothing else.

A pickle is a program. Here it can name the few globals of files of tensors, and each name means a
builder of ours, so nothing else can be made, called or changed, whatever its opcodes. Any other
name is refused when it is named.
"""

import pickle
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

from jaxalign.models.weights._opcodes import checked_end
from jaxalign.models.weights._stored import (
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


def _same_tensor(data: Any, *_: Any) -> StoredTensor:
    if not isinstance(
        data, StoredTensor
    ):  # no builder returns a tuple, which checked_end counts on
        raise Refused(f"it makes a parameter of a {type(data).__name__}")
    return data


_TENSOR, _DTYPE = Builder(StoredTensor), Builder(StoredDtype)
_EMPTY_ARRAY = Builder(lambda *_: StoredArray())
_SCALAR = Builder(lambda dtype, raw: StoredArray((), dtype, False, raw))
_FROM_BUFFER = Builder(
    lambda raw, dtype, shape, order: StoredArray(shape, dtype, order == "F", raw)
)
_BYTES = Builder(lambda text, encoding: bytes(text, "latin1") if encoding == "latin1" else None)

# numpy._core was numpy.core before numpy 2; a pickle keeps the name of its day.
ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): Builder(Entries),
    ("torch._utils", "_rebuild_tensor"): _TENSOR,
    ("torch._utils", "_rebuild_tensor_v2"): _TENSOR,
    ("torch._utils", "_rebuild_parameter"): Builder(_same_tensor),
    **{("torch", kind.name): kind for kind in STORAGE_DTYPES},
    ("numpy", "ndarray"): Named("numpy.ndarray"),
    ("numpy", "dtype"): _DTYPE,
    ("_codecs", "encode"): _BYTES,  # bytes and no bytes, in protocols 0 to 2
    ("__builtin__", "bytes"): Builder(lambda: b""),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _EMPTY_ARRAY for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FROM_BUFFER for core in ("core", "_core")},
}


class Program(NamedTuple):
    """What a pickle built: dicts, lists, numbers, text and ``stored``'s classes; the storages it
    named; where it ends.
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
        end = checked_end(raw, start)
        unpickler = _Unpickler(raw[start:end])
        return Program(unpickler.load(), unpickler.storages, end)
    except Refused:
        raise
    except Exception as error:  # a damaged program fails in any way
        raise ValueError(
            f"its pickle is truncated or damaged ({type(error).__name__}: {error})"
        ) from None
