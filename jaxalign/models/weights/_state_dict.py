"""The tensors in a saved object by dotted names; of a checkpoint, those of its state dict."""

from collections.abc import Iterator
from reprlib import repr as repr_of
from typing import Any

from jaxalign.models.weights._stored import Refused, StoredArray, StoredTensor

_WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "network")
"""What checkpoints call the state dict of their model."""
_DEEPEST = 3
"""So many dicts around a state dict are opened."""
_REMEDY = "save only the state dict, as torch.save(model.state_dict(), path)"


def state_dict(value: Any) -> Iterator[tuple[str, StoredTensor | StoredArray]]:
    """Dotted names and tensors of a saved object.

    Raises:
      Refused: no dict; anything but tensors in it; several state dicts.
    """
    for _ in range(_DEEPEST):
        if isinstance(value, dict):
            value = _opened(value)
    if not isinstance(value, dict):
        raise Refused(f"it holds {_kind(value)}, not tensors by name; {_REMEDY}")
    for name, leaf in _leaves(value, "", set()):
        if not _is_tensor(leaf):
            raise Refused(
                f"it holds {_kind(leaf)} under {name!r}, where a tensor should be; {_REMEDY}"
            )
        yield name, leaf


def _opened(saved: dict) -> dict:
    """The state dict in a checkpoint; a state dict is returned as it is."""
    wrapped = [
        key
        for key in _WRAPPERS
        if isinstance(saved.get(key), dict) and _leaf_kinds(saved[key]) != {False}
    ]
    if len(wrapped) > 1:
        raise Refused(f"it holds weights under {' and '.join(wrapped)}; {_REMEDY}")
    if not wrapped:
        return saved
    (key,) = wrapped
    beside = {kind for other in saved if other != key for kind in _leaf_kinds(saved[other])}
    # A model may have a part that is called net, and none that is called state_dict.
    if beside == {True} and not key.endswith("state_dict"):
        return saved
    return saved[key]


def _leaf_kinds(value: Any) -> set[bool]:
    """For each leaf of nested containers, whether it is a tensor."""
    kinds = set()
    seen = set()
    pending = [value]
    while pending:
        inner = pending.pop()
        if not _is_container(inner):
            kinds.add(_is_tensor(inner))
        elif id(inner) not in seen:
            seen.add(id(inner))
            pending += inner.values() if isinstance(inner, dict) else inner
    return kinds


def _leaves(value: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Dotted names and leaves of nested containers."""
    if not _is_container(value):
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


def _is_tensor(value: Any) -> bool:
    return isinstance(value, StoredTensor | StoredArray)


def _is_container(value: Any) -> bool:
    # Named tuples stand for tensors and their parts.
    return isinstance(value, dict | list) or type(value) is tuple


def _kind(value: Any) -> str:
    return {StoredTensor: "tensor", StoredArray: "array"}.get(type(value), type(value).__name__)
