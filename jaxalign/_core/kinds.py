"""Checks of arguments that are not arrays, by what they are: the message names what to pass."""

import operator
from collections.abc import Iterable, Sequence
from numbers import Real
from types import UnionType
from typing import Any, get_args

import jax
import numpy as np
from jax import Array

LONG = 60
"""So many characters of a value are shown in a message."""


def found(value: Any) -> str:
    """A value as messages of errors name it."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if value is None or isinstance(value, bool | np.bool_ | int | float | complex | str):
        text = repr(value)
        return text if len(text) <= LONG else f"{text[:LONG]}…"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple | dict):
        return f"a {type(value).__name__} of {len(value)}"
    name = type(value).__name__
    return f"a {name.removeprefix('builtin_').removesuffix('_or_method')}"


def require_kind(value: Any, kinds: type | UnionType, name: str, remedy: str) -> None:
    """Raise unless ``value`` is an instance of one of these.

    Raises:
      TypeError: it is none; the message ends with ``remedy``.
    """
    if not isinstance(value, kinds):
        meant = " or ".join(kind.__name__ for kind in get_args(kinds) or (kinds,))
        raise TypeError(f"{name} must be a {meant}, found {found(value)}; {remedy}")


def require_function(value: Any, name: str, remedy: str) -> None:
    """Raise unless ``value`` can be called."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, found {found(value)}; {remedy}")


def require_flag(value: Any, name: str) -> None:
    """Raise unless ``value`` is True or False: every text is true, "no" too."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, found {found(value)}")


def as_count(value: Any, name: str, least: int = 1) -> int:
    """A whole number as an int, whoever's integer it is.

    Raises:
      TypeError: no whole number: a float, a boolean, an array of several, or one that is traced.
      ValueError: below ``least``.
    """
    try:
        count = operator.index(value)
    except TypeError:
        count = None
    if count is None or isinstance(value, bool):
        remedy = ""
        if isinstance(value, float | np.floating) and np.isfinite(value):
            remedy = f"; pass {round(value)}"
        raise TypeError(f"{name} must be a whole number, found {found(value)}{remedy}")
    if count < least:
        raise ValueError(f"{name} must be at least {least}, found {count}")
    return count


def require_key(key: Any) -> None:
    """Raise unless ``key`` is one random key of jax, typed or of the older kind."""
    is_array = isinstance(key, Array | np.ndarray)
    is_typed = is_array and jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
    is_old = is_array and key.dtype == np.uint32 and key.ndim == 1
    if not (is_old or (is_typed and key.ndim == 0)):
        raise TypeError(f"key must be one key of jax, found {found(key)}; pass jax.random.key(0)")


def require_number(value: Any, name: str) -> None:
    """Raise unless ``value`` is one real number: a boolean, a text or a list is none."""
    is_bool = isinstance(value, bool | np.bool_)
    is_scalar = isinstance(value, Array | np.ndarray) and value.shape == ()
    if is_bool or not (is_scalar or isinstance(value, Real)):
        raise TypeError(f"{name} must be a number, found {found(value)}")


def as_known_number(value: Any, name: str) -> float:
    """One real number that can be read now, as a float.

    Raises:
      TypeError: no number, or one that is traced.
    """
    require_number(value, name)
    if isinstance(value, jax.core.Tracer):
        raise TypeError(
            f"{name} must be known before the program is traced, found a traced number; "
            f"pass {name} as a static argument of jit"
        )
    return float(value)


def require_choice(value: Any, choices: Sequence[str], name: str, remedy: str = "") -> None:
    """Raise unless ``value`` is one of these names.

    Raises:
      ValueError: it is none; the message ends with ``remedy``.
    """
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(map(repr, choices[:-1]))
        raise ValueError(
            f"{name} must be {listed} or {choices[-1]!r}, found {found(value)}{remedy}"
        )


def require_known_sizes(shape: Iterable[Any], name: str) -> None:
    """Raise for sizes that are symbols of ``jax.export``: loops depend on their values."""
    if not all(isinstance(size, int | np.integer) for size in shape):
        raise ValueError(
            f"{name} must have sizes that are known, found shape ({', '.join(map(str, shape))}); "
            "export the function for each shape"
        )
