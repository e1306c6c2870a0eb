"""Columns of arrow tables as arrays of numpy, and which of them are inputs and labels."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LABELS = ("label", "labels", "y", "target", "class", "fine_label")


def features_of(schema: Any) -> Mapping[str, Any]:
    """What Hugging Face's datasets note of each column; {} where nothing is."""
    try:
        noted = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = noted.get("info", {}).get("features", {})
    except (AttributeError, ValueError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def is_image(field: Any) -> bool:
    """Whether a column holds images: their bytes, and perhaps a path."""
    import pyarrow

    types = pyarrow.types
    if not types.is_struct(field.type) or field.type.get_field_index("bytes") < 0:
        return False
    content = field.type.field("bytes").type
    return types.is_binary(content) or types.is_large_binary(content)


def class_names(features: Mapping[str, Any], name: str) -> Sequence[str] | None:
    """The names of a column's classes, where it has such."""
    feature = features.get(name)
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return None
    names = feature.get("names")
    return names if isinstance(names, list) else None


def label_column(schema: Any, name: str | None, source: str) -> str:
    """The column of the labels.

    Raises:
      ValueError: no such column; several or none that could be.
    """
    if name is not None:
        return _named(schema, name, "label", source)
    features = features_of(schema)
    found = [each for each in schema.names if class_names(features, each) is not None]
    if not found:
        found = [each for each in LABELS if each in schema.names][:1]
    if len(found) != 1:
        raise ValueError(
            f"{source} must say which column holds the labels, found "
            f"{', '.join(found or schema.names)}; name it by label="
        )
    return found[0]


def input_columns(schema: Any, name: str | None, label: str, source: str) -> list[str]:
    """The column of the inputs, or several columns of numbers.

    Raises:
      ValueError: no such column; several that could be.
    """
    if name is not None:
        return [_named(schema, name, "inputs", source)]
    others = [field for field in schema if field.name != label]
    images = [field.name for field in others if is_image(field)]
    if len(images) == 1:
        return images
    if len(others) == 1 or (others and all(_is_number(field.type) for field in others)):
        return [field.name for field in others]
    raise ValueError(
        f"{source} must say which column holds the inputs, found "
        f"{', '.join(field.name for field in others) or 'none'}; name it by inputs="
    )


def numbers(column: Any, name: str) -> np.ndarray:
    """A column of numbers, or of lists of them of one length: (n, ...).

    Raises:
      ValueError: missing values; lists of several lengths; text and other values.
    """
    import pyarrow
    import pyarrow.compute

    array = pyarrow.concat_arrays(column.chunks)
    shape = [len(array)]
    while True:
        if isinstance(array, pyarrow.ExtensionArray):
            array = array.storage
        if array.null_count:
            missing = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
            row = missing // int(np.prod(shape[1:]))
            raise ValueError(f"column {name} has no value in row {row}; leave such rows out")
        kind = array.type
        if not (pyarrow.types.is_list(kind) or _is_other_list(kind)):
            break
        lengths = pyarrow.compute.list_value_length(array).unique().to_pylist()
        if len(lengths) != 1:
            listed = ", ".join(map(str, sorted(lengths)[:3])) or "none"
            raise ValueError(f"lists of column {name} must be of one length, found {listed}")
        shape.append(lengths[0])
        array = array.flatten()
    if not _is_number(array.type):
        raise ValueError(
            f"column {name} must hold numbers, found {array.type}; name another one, or save it as "
            "numbers"
        )
    return array.to_numpy(zero_copy_only=False).reshape(shape)


def labels(column: Any, name: str, names: Sequence[str] | None) -> np.ndarray:
    """(n,) text or numbers, or (n, k) numbers; names stand in place of the numbers of classes.

    Raises:
      ValueError: as ``numbers``; a class without a name.
    """
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):  # pandas' categories
        column = column.cast(column.type.value_type)
    kind = column.type
    if kind in (pyarrow.string(), pyarrow.large_string(), pyarrow.string_view()):
        if column.null_count:
            raise ValueError(f"column {name} has rows without a value; leave them out")
        return np.array(column.to_pylist(), dtype=np.str_)
    values = numbers(column, name)
    if names is None:
        return values
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise ValueError(f"column {name} must hold a class per row, found {kind}")
    outside = np.flatnonzero((values < 0) | (values >= len(names)))
    if len(outside):
        raise ValueError(
            f"column {name} must hold classes 0 ... {len(names) - 1}, found "
            f"{values[outside[0]]} in row {outside[0]} (counted from 0): it has no label"
        )
    return np.array(names, dtype=np.str_)[values]


def _named(schema: Any, name: str, argument: str, source: str) -> str:
    if name not in schema.names:
        raise ValueError(
            f"{argument} must be a column of {source}, {', '.join(schema.names)}, found {name!r}"
        )
    return name


def _is_number(kind: Any) -> bool:
    import pyarrow

    types = pyarrow.types
    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def _is_other_list(kind: Any) -> bool:
    import pyarrow

    return pyarrow.types.is_large_list(kind) or pyarrow.types.is_fixed_size_list(kind)
