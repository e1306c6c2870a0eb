"""What pickles of tensors describe: storages and views of them, numpy arrays. Each becomes an array
only when it is whole.

Instances are made at a file's command, with any arguments: nothing is believed of them before
``array`` looks.
"""

import math
import re
from collections.abc import Callable
from reprlib import repr as repr_of
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_NUMPY_CODE = re.compile(r"b1|[iu][1248]|f[248]")


class Refused(ValueError):
    """What a file asks for is not what a file of tensors holds."""


class StorageType(NamedTuple):
    """Stands for a class of storages, such as torch.FloatStorage; a tuple, since a file could
    change an np.dtype.
    """

    name: str


class Storage(NamedTuple):
    """A run of ``length`` numbers that a file keeps under ``key``."""

    dtype: np.dtype
    key: str
    length: int


STORAGE_DTYPES: dict[StorageType, np.dtype] = {
    StorageType("DoubleStorage"): np.dtype(np.float64),
    StorageType("FloatStorage"): np.dtype(np.float32),
    StorageType("HalfStorage"): np.dtype(np.float16),
    StorageType("BFloat16Storage"): BFLOAT16,
    StorageType("LongStorage"): np.dtype(np.int64),
    StorageType("IntStorage"): np.dtype(np.int32),
    StorageType("ShortStorage"): np.dtype(np.int16),
    StorageType("CharStorage"): np.dtype(np.int8),
    StorageType("ByteStorage"): np.dtype(np.uint8),
    StorageType("BoolStorage"): np.dtype(np.bool_),
}


def storage_of(identifier: Any) -> Storage:
    """The storage that torch's persistent identifier ("storage", class, key, device, count, None)
    means.
    """
    if (
        not isinstance(identifier, tuple)
        or len(identifier) not in (5, 6)
        or identifier[0] != "storage"
    ):
        raise Refused(
            f"it refers to {repr_of(identifier)} outside of itself, which is no torch storage"
        )
    _, kind, key, _, count, *view = identifier
    if (
        not isinstance(kind, StorageType)
        or not isinstance(key, str)
        or not _is_size(count)
        or view not in ([], [None])
    ):
        raise Refused(
            f"it describes the storage {repr_of(identifier)}, which is not of torch's form"
        )
    return Storage(STORAGE_DTYPES[kind], key, count)


class StoredTensor:
    """A view of a storage: offset, shape and strides, counted in numbers."""

    __slots__ = ("_layout",)

    def __init__(self, *layout: Any):
        self._layout = layout

    def __setstate__(self, state: Any) -> None:
        raise Refused("it gives a state to a tensor, which has none")

    def array(self, numbers: Callable[[Storage], np.ndarray]) -> np.ndarray:
        """The tensor, sharing memory with the storage that ``numbers`` returns.

        No more numbers than the storage has: a stride of 0 would make petabytes of a few bytes.
        """
        if len(self._layout) < 4 or not isinstance(self._layout[0], Storage):
            raise Refused(
                f"it builds a tensor of {repr_of(self._layout)}, which is no storage, offset, shape and strides"
            )
        storage, offset, shape, strides = self._layout[:4]
        sizes = (
            (offset, *shape, *strides)
            if isinstance(shape, tuple) and isinstance(strides, tuple)
            else (-1,)
        )
        if not all(map(_is_size, sizes)) or len(shape) != len(strides):
            raise Refused(
                f"it describes a tensor with offset {offset!r}, shape {repr_of(shape)}, strides {repr_of(strides)}"
            )
        size = math.prod(shape)
        last = (
            offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
            if size
            else offset - 1
        )
        if last >= storage.length or size > storage.length:
            raise Refused(
                f"a tensor with offset {offset}, shape {repr_of(shape)}, strides {repr_of(strides)} reaches outside of "
                f"its storage of {storage.length} numbers"
            )
        if not size:
            return np.empty(shape, storage.dtype)
        flat = numbers(storage)
        bytes_apart = [stride * flat.itemsize for stride in strides]
        return np.ndarray(shape, flat.dtype, flat, offset * flat.itemsize, bytes_apart)


class StoredDtype:
    """A numpy dtype in the making: its code, then by state its byte order."""

    __slots__ = ("_code", "_state")

    def __init__(self, code: Any, *_: Any):
        self._code, self._state = code, None

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def dtype(self) -> np.dtype:
        """The dtype of numbers it means."""
        if not isinstance(self._code, str) or not _NUMPY_CODE.fullmatch(self._code):
            raise Refused(
                f"it has an array of dtype {repr_of(self._code)}; arrays of weights are booleans, integers or floats"
            )
        order = self._state[1] if isinstance(self._state, tuple) and len(self._state) > 1 else "="
        if not isinstance(order, str) or order not in ("<", ">", "=", "|"):
            raise Refused(f"it has an array of the byte order {repr_of(order)}")
        return np.dtype(order + self._code)


class StoredArray:
    """A numpy array in the making: created empty, then by state its shape, dtype, order and bytes."""

    __slots__ = ("_state",)

    def __init__(self, *state: Any):
        self._state = state

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def array(self, numbers: Callable[[Storage], np.ndarray]) -> np.ndarray:
        """The array, sharing memory with its bytes; it has no use for storages."""
        state = self._state
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise Refused(f"it gives an array the state {repr_of(state)}, which is not numpy's")
        shape, dtype, fortran, raw = state[-4:]
        raw = raw.encode("latin1") if isinstance(raw, str) else raw  # Python 2's bytes
        if (
            not isinstance(shape, tuple)
            or not all(map(_is_size, shape))
            or not isinstance(dtype, StoredDtype)
        ):
            raise Refused(
                f"it describes an array of shape {repr_of(shape)} and dtype {repr_of(dtype)}"
            )
        found = dtype.dtype()
        wanted = math.prod(shape) * found.itemsize
        if not isinstance(raw, bytes | bytearray) or len(raw) != wanted:
            held = f"{len(raw)} bytes" if isinstance(raw, bytes | bytearray) else type(raw).__name__
            raise Refused(
                f"an array of shape {repr_of(shape)} and dtype {found} needs {wanted} bytes, found {held}"
            )
        return native(np.frombuffer(raw, found)).reshape(shape, order="F" if fortran else "C")


def native(array: np.ndarray) -> np.ndarray:
    """The array in this machine's byte order."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63
