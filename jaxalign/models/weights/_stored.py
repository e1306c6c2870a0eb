"""Descriptions of tensors in pickles: storages, views of storages, numpy arrays.

The unpickler creates the instances with any arguments that the file gives. So nothing is assumed of
them: ``array`` checks them first, and only then builds an array.
"""

import math
import re
from collections.abc import Callable
from reprlib import repr as repr_of
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_NUMPY_CODE = re.compile(r"b1|[iu][1248]|f[248]|bfloat16")


class Refused(ValueError):
    """A file asks for something that files of tensors do not contain."""


class StorageType(NamedTuple):
    """Stands for a class of storages, such as torch.FloatStorage."""

    # Not an np.dtype, which a pickle could change; a tuple is immutable.
    name: str


class Storage(NamedTuple):
    """``length`` numbers that a file keeps under ``key``."""

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
    """The storage of torch's persistent identifier ("storage", class, key, device, count, None)."""
    is_tuple = isinstance(identifier, tuple) and len(identifier) in (5, 6)
    if not is_tuple or identifier[0] != "storage":
        raise Refused(
            f"it refers to {repr_of(identifier)} outside of itself, which is not a torch storage"
        )
    _, kind, key, _, count, *view = identifier
    typed = isinstance(kind, StorageType) and isinstance(key, str) and _is_size(count)
    if not typed or view not in ([], [None]):
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

        It may not have more numbers than the storage: a stride of 0 would make petabytes from a few
        bytes.
        """
        if len(self._layout) < 4 or not isinstance(self._layout[0], Storage):
            raise Refused(
                f"it builds a tensor of {repr_of(self._layout)}, "
                "which is not a storage, offset, shape and strides"
            )
        # Whether it takes a gradient, and its hooks, come before the metadata.
        storage, offset, shape, strides, *metadata = (*self._layout[:4], *self._layout[6:])
        if any(metadata):
            raise Refused(
                f"it builds a tensor with {repr_of(metadata[0])}, such as one that is negated when "
                "it is read; save tensor.clone()"
            )
        described = f"offset {offset!r}, shape {repr_of(shape)}, strides {repr_of(strides)}"
        if not _is_shape(shape) or not _is_shape(strides) or not _is_size(offset):
            raise Refused(f"it describes a tensor with {described}")
        if len(shape) != len(strides):
            raise Refused(f"it describes a tensor with {described}")
        size = math.prod(shape)
        # The position of the last number; an empty tensor has none.
        last = offset - 1
        if size:
            last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        if last >= storage.length or size > storage.length:
            raise Refused(
                f"a tensor with {described} reaches outside of "
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
        self._code = code
        self._state: Any = None

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def dtype(self) -> np.dtype:
        """The dtype described; only those of numbers."""
        if not isinstance(self._code, str) or not _NUMPY_CODE.fullmatch(self._code):
            raise Refused(
                f"it has an array of dtype {repr_of(self._code)}; "
                "arrays of weights are booleans, integers or floats"
            )
        order: Any = "="
        if isinstance(self._state, tuple) and len(self._state) > 1:
            order = self._state[1]
        if not isinstance(order, str) or order not in ("<", ">", "=", "|"):
            raise Refused(f"it has an array of the byte order {repr_of(order)}")
        if self._code != BFLOAT16.name:
            return np.dtype(order + self._code)
        if order == ">":
            raise Refused("it has a bfloat16 array of the byte order '>'; save it as float32")
        return BFLOAT16


class StoredArray:
    """A numpy array in the making: created empty; its state is shape, dtype, order and bytes."""

    __slots__ = ("_state",)

    def __init__(self, *state: Any):
        self._state = state

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def array(self, numbers: Callable[[Storage], np.ndarray]) -> np.ndarray:
        """The array, sharing memory with its bytes; ``numbers`` is not needed."""
        state = self._state
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise Refused(f"it gives an array the state {repr_of(state)}, which is not numpy's")
        shape, dtype, fortran, raw = state[-4:]
        if isinstance(raw, str):
            # Python 2 wrote bytes as text.
            raw = raw.encode("latin1")
        if not _is_shape(shape) or not isinstance(dtype, StoredDtype):
            raise Refused(
                f"it describes an array of shape {repr_of(shape)} and dtype {repr_of(dtype)}"
            )
        kind = dtype.dtype()
        needed = math.prod(shape) * kind.itemsize
        content = type(raw).__name__
        if isinstance(raw, bytes | bytearray):
            if len(raw) == needed:
                flat = native(np.frombuffer(raw, kind))
                return flat.reshape(shape, order="F" if fortran else "C")
            content = f"{len(raw)} bytes"
        raise Refused(
            f"an array of shape {repr_of(shape)} and dtype {kind} "
            f"needs {needed} bytes, found {content}"
        )


def native(array: np.ndarray) -> np.ndarray:
    """The array in this machine's byte order."""
    if array.dtype.isnative:
        return array
    return array.astype(array.dtype.newbyteorder("="))


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(map(_is_size, value))


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63
