"""Which layers of a model are meant: glob patterns over dotted names, in the order the model runs them."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase


def as_patterns(layers: str | Sequence[str]) -> tuple[str, ...]:
    """One glob pattern or several, as a tuple."""
    patterns = (layers,) if isinstance(layers, str) else tuple(layers)
    if not patterns:
        raise ValueError("layers must name at least one layer or glob pattern, found none; '*' means every layer")
    return patterns


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a dotted layer name fits one of the patterns; ``*`` also spans dots."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def require_all_found(patterns: Sequence[str], found: Sequence[str], reason: str) -> None:
    """Raise for patterns that fit no name among ``found``, with the names there are and the reason to suspect."""
    missing = [pattern for pattern in patterns if not any(matches(name, [pattern]) for name in found)]
    if missing:
        there_are = ", ".join(found) if found else "none"
        raise ValueError(f"layers {missing} {reason}; the names there are: {there_are}")
