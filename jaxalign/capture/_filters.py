"""Filters for layers: glob patterns over dotted names, types, or predicates of name and layer."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from jaxalign._core.kinds import found

Filter = str | type | Callable[[str, Any], bool]
Filters = tuple[Filter, ...]


def as_filters(layers: Filter | Sequence[Filter], name: str = "layers") -> Filters:
    """One filter or several, as a tuple; ``name`` is that of the argument, for messages."""
    filters = tuple(layers) if isinstance(layers, list | tuple) else (layers,)
    if not filters:
        raise ValueError(
            f"{name} must hold at least one name or glob pattern, found none; '*' means all"
        )
    for one in filters:
        if not callable(one) and not isinstance(one, str):
            raise TypeError(
                f"{name} must be glob patterns, types or predicates of (name, layer), "
                f"found {found(one)}"
            )
    return filters


def fitting(name: str, layer: Any, filters: Filters) -> tuple[bool, ...]:
    """Whether a layer fits each of the filters; in patterns ``*`` also matches dots."""
    return tuple(_fits(one, name, layer) for one in filters)


def _fits(one: Filter, name: str, layer: Any) -> bool:
    if isinstance(one, str):
        return fnmatchcase(name, one)
    if isinstance(one, type):
        return isinstance(layer, one)
    return bool(one(name, layer))


def require_all_found(
    filters: Filters, fits: Mapping[str, tuple[bool, ...]], reason: str, names: Iterable[str] = ()
) -> None:
    """Raise for filters that fit none of the layers.

    Args:
      filters: what was asked for.
      fits: name → which filters fit, of the layers that can be captured.
      reason: the likely cause, for the message.
      names: for the message, the names that could have been asked for; by default those of the
        layers.
    """
    missing = [one for i, one in enumerate(filters) if not any(fit[i] for fit in fits.values())]
    if missing:
        # Strings have no __name__, types and functions do.
        described = [getattr(one, "__name__", one) for one in missing]
        listed = ", ".join(names or fits) or "none"
        raise ValueError(f"layers {described} {reason}; the names there are: {listed}")


def require_own_name(name: str, path: Any, taken: dict[str, Any]) -> None:
    """Raise if another layer has the name, and else note whose it is.

    Args:
      name: of a layer.
      path: of the layer: {"a.b": x, "a": {"b": y}} are two of one dotted name.
      taken: name → path.
    """
    if taken.setdefault(name, path) != path:
        raise ValueError(
            f"layers of the model must have names of their own, found two named {name!r}; rename "
            "the one whose key or name holds a dot"
        )


def names_of_calls(names: Iterable[str]) -> list[str]:
    """Names in the order of the calls, with those of a layer's later calls as name#2, name#3."""
    calls: Counter[str] = Counter()
    numbered = []
    for name in names:
        calls[name] += 1
        numbered.append(name if calls[name] == 1 else f"{name}#{calls[name]}")
    return numbered
