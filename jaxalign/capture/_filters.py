"""Filters for layers: glob patterns over dotted names, types, or predicates of name and layer."""

from collections import Counter, OrderedDict
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
    """Whether a layer fits one of the filters; in patterns ``*`` also matches dots."""
    return any(_fits(one, name, layer) for one in filters)


def _fits(one: Filter, name: str, layer: Any) -> bool:
    if isinstance(one, str):
        return fnmatchcase(name, one)
    if isinstance(one, type):
        return isinstance(layer, one)
    return bool(one(name, layer))


def require_all_found(
    filters: Filters, layers: Mapping[str, Any], reason: str, names: Iterable[str] = ()
) -> None:
    """Raise for filters that fit none of the layers.

    Args:
      filters: what was asked for.
      layers: name → layer, of those that can be captured.
      reason: the likely cause, for the message.
      names: for the message, the names that could have been asked for; by default those of the
        layers.
    """
    missing = [
        one for one in filters if not any(_fits(one, name, layer) for name, layer in layers.items())
    ]
    if missing:
        # Strings have no __name__, types and functions do.
        described = [getattr(one, "__name__", one) for one in missing]
        listed = ", ".join(names or layers) or "none"
        raise ValueError(f"layers {described} {reason}; the names there are: {listed}")


def captured(at: str, output: Any, arguments: Sequence[Any], settings: Mapping[str, Any]) -> Any:
    """What is captured of a layer's call: its output, or its first argument (None without any)."""
    if at == "output":
        return output
    return next(iter((*arguments, *settings.values())), None)


def in_order(calls: Sequence[str], values: Mapping[str, Sequence[Any]]) -> OrderedDict[str, Any]:
    """Values by name, in the order of the calls; a layer's later calls are named #2, #3, ...

    Calls are names recorded while tracing. There are more calls than values if a body was traced
    twice, and fewer if a program that was traced before is used again. Values without a recorded
    call come last.
    """
    unrecorded = [name for name, results in values.items() for _ in results]
    ordered: OrderedDict[str, Any] = OrderedDict()
    taken: Counter[str] = Counter()
    for name in (*calls, *unrecorded):
        number = taken[name]
        if number < len(values.get(name, ())):
            taken[name] += 1
            ordered[name if number == 0 else f"{name}#{number + 1}"] = values[name][number]
    return ordered
