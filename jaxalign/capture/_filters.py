"""Which layers of a model are meant: by glob patterns over dotted names, by type, or by a predicate
of name and layer.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

Filter = str | type | Callable[[str, Any], bool]
Filters = tuple[Filter, ...]


def as_filters(layers: Filter | Sequence[Filter]) -> Filters:
    """One filter or several, as a tuple."""
    filters = tuple(layers) if isinstance(layers, list | tuple) else (layers,)
    if not filters:
        raise ValueError(
            "layers must name at least one layer or glob pattern, found none; '*' means every layer"
        )
    for one in filters:
        if not callable(one) and not isinstance(one, str):
            raise TypeError(
                f"layers must be glob patterns, types or predicates of (name, layer), found {one!r}"
            )
    return filters


def matches(name: str, layer: Any, filters: Filters) -> bool:
    """Whether a layer fits one of the filters; in patterns ``*`` also spans dots."""
    return any(_fits(one, name, layer) for one in filters)


def _fits(one: Filter, name: str, layer: Any) -> bool:
    if isinstance(one, str):
        return fnmatchcase(name, one)
    return isinstance(layer, one) if isinstance(one, type) else bool(one(name, layer))


def require_all_found(
    filters: Filters, found: Mapping[str, Any], reason: str, there_are: Iterable[str] = ()
) -> None:
    """Raise for filters that fit none of the layers ``found``, with the names there are and the
    reason to suspect.
    """
    missing = [
        one for one in filters if not any(_fits(one, name, layer) for name, layer in found.items())
    ]
    if missing:
        described = [
            one if isinstance(one, str) else getattr(one, "__name__", one) for one in missing
        ]
        names = ", ".join(there_are or found) or "none"
        raise ValueError(f"layers {described} {reason}; the names there are: {names}")


def in_order(calls: Sequence[str], values: Mapping[str, Sequence[Any]]) -> OrderedDict[str, Any]:
    """Values by name in the order of the calls; a layer's later calls are named #2, #3, ...

    Calls are names noted while tracing: more than there are values where a body was traced twice,
    fewer where a program that was traced before is used again. Values that nobody noted come last.
    """
    ordered: OrderedDict[str, Any] = OrderedDict()
    taken = dict.fromkeys(values, 0)
    unnoted = [name for name, held in values.items() for _ in held]
    for name in (*calls, *unnoted):
        if taken.get(name, 0) < len(values.get(name, ())):
            taken[name] += 1
            ordered[name if taken[name] == 1 else f"{name}#{taken[name]}"] = values[name][
                taken[name] - 1
            ]
    return ordered
