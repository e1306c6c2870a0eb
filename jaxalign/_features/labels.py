"""The border where labels come in: class values or real numbers, of any container."""

from collections.abc import Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxalign._core.arrays import as_numbers
from jaxalign._core.kinds import found
from jaxalign._core.known import known_values

# A bool of Python is an integer too, and an integer a real number: the first kind counts.
_KINDS: dict[str, Any] = {
    "text": str,
    "bytes": bytes,
    "booleans": bool | np.bool_,
    "integers": Integral,
    "real numbers": Real | Decimal,
}


def as_labels(labels: Any, name: str = "labels") -> Array | np.ndarray:
    """``labels`` as an array: class values as booleans, integers or objects (text, bytes, what a
    categorical holds), numbers to regress on as floats.

    Arrays of jax stay as they are, traced or not. Everything else becomes an array of numpy.

    Raises:
      TypeError: no list or array; values of several kinds, as [0, 1, "a"], or of another kind.
      ValueError: no values; missing ones among objects.
    """
    if isinstance(labels, np.ma.MaskedArray) and not np.ma.is_masked(labels):
        labels = labels.data
    values = _read(labels)
    if values is None or values.dtype != object:
        numbers = as_numbers(labels if values is None else values, name)
        _require_rows(numbers, labels, name)
        return numbers
    _require_rows(values, labels, name)
    kind = _kind(values, name)
    if kind == "booleans":
        return values.astype(bool)
    if kind == "integers":
        return _as_integers(values)
    if kind == "real numbers" and not _is_categorical(labels):
        return as_numbers(labels, name)
    return values


def are_real(labels: Array | np.ndarray) -> bool:
    """Whether what ``as_labels`` returned are floats: numbers to regress on."""
    return jnp.issubdtype(labels.dtype, jnp.floating)


def are_codes(values: Array | np.ndarray, name: str) -> bool:
    """Whether real targets are the ±1 of classes."""
    known = known_values(values)
    if known is None:
        raise ValueError(
            f"{name} are traced, so real targets cannot be told from ±1 codes of classes; "
            "pass centered=True or centered=False"
        )
    return bool((np.abs(known) == 1).all())


def as_class_values(labels: Array | np.ndarray) -> Array | np.ndarray:
    """What ``as_labels`` returned, as class labels (n,); a column (n, 1), as keras and MedMNIST
    have it, loses its second axis.

    Raises:
      ValueError: labels of any other shape.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"labels must be class labels of shape (n,), found {labels.dtype} of shape "
            f"{labels.shape}; pass one label per row, as labels.argmax(axis=1) of one-hot rows, "
            "or floats for regression targets"
        )
    return labels


def _read(labels: Any) -> np.ndarray | None:
    """The values, text and others as objects of Python; None for arrays that only as_numbers
    knows, and for what is not an array.
    """
    if _is_categorical(labels):
        return np.asarray(labels, dtype=object)
    if isinstance(labels, Sequence) and not isinstance(labels, str | bytes):
        return _of_sequence(labels)
    if isinstance(labels, jax.Array | np.ma.MaskedArray):
        return None
    try:
        values = np.asarray(labels)
    except Exception:  # whatever another library raises: as_numbers says what is wrong
        return None
    if values.ndim == 0 and hasattr(labels, "shape"):  # a sparse matrix
        return None
    return values.astype(object) if values.dtype.kind in "OUST" else values


def _is_categorical(labels: Any) -> bool:
    """Whether labels are a categorical of pandas or an enumeration of polars."""
    return hasattr(getattr(labels, "dtype", None), "categories")


def _of_sequence(labels: Sequence) -> np.ndarray | None:
    if any(_is_foreign_array(kind) for kind in set(map(type, labels))):
        return None
    # numpy alone would turn [0, "a"] into text, and large integers into floats.
    return np.asarray(
        [x.item() if isinstance(x, np.ndarray) and x.ndim == 0 else x for x in labels], dtype=object
    )


def _is_foreign_array(kind: type) -> bool:
    return hasattr(kind, "__array__") and not issubclass(kind, np.ndarray | np.generic)


def _require_rows(values: Array | np.ndarray, labels: Any, name: str) -> None:
    """Raise unless ``values``, which were read from ``labels``, have rows."""
    if values.ndim == 0:
        raise TypeError(
            f"{name} must be a list or an array of one value per row, found {found(labels)}"
        )
    if values.size == 0:
        raise ValueError(f"{name} must not be empty, found shape {values.shape}")


def _kind(objects: np.ndarray, name: str) -> str:
    """The one kind of all objects, a key of ``_KINDS``."""
    types = dict.fromkeys(map(type, objects.ravel().tolist()))  # in the order of the objects
    if not types.keys() <= {str, bytes, bool, int}:
        _require_none_missing(objects, name)
    kinds = {_kind_of(one): one for one in types}
    if None in kinds:
        raise TypeError(
            f"{name} must be {', '.join(_KINDS)}, found {_first(kinds[None], objects)}; "
            "pass one value per row, text or integers for classes"
        )
    if set(kinds) == {"integers", "real numbers"}:
        return "real numbers"
    if len(kinds) > 1:
        different = " and ".join(_first(one, objects) for one in kinds.values())
        raise TypeError(
            f"{name} must be of one kind ({', '.join(_KINDS)}), found {different}; "
            "convert all of them, as by [str(x) for x in labels]"
        )
    return str(*kinds)


def _kind_of(one: type) -> str | None:
    return next((kind for kind, types in _KINDS.items() if issubclass(one, types)), None)


def _first(one: type, objects: np.ndarray) -> str:
    """The first object of a type, and where it is."""
    flat = objects.ravel().tolist()
    first = next(i for i, x in enumerate(flat) if type(x) is one)
    return f"{flat[first]!r} ({one.__name__}) at index {_index(first, objects)}"


def _index(position: int, objects: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(position, objects.shape))


def _require_none_missing(objects: np.ndarray, name: str) -> None:
    flat = objects.ravel().tolist()
    missing = [i for i, x in enumerate(flat) if _is_missing(x)]
    if missing:
        raise ValueError(
            f"{name} must have no missing values, found {len(missing)} among {len(flat)} "
            f"({flat[missing[0]]!r} the first, at index {_index(missing[0], objects)}); "
            "drop their rows"
        )


def _is_missing(value: Any) -> bool:
    # pandas' own are known by name, so that pandas need not be there.
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _as_integers(objects: np.ndarray) -> np.ndarray:
    """Integers as int64; as objects where some do not fit, for no other dtype holds all exactly."""
    try:
        return objects.astype(np.int64)
    except OverflowError:
        return objects
