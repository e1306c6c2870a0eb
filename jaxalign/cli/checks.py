"""Checks that several commands make of their options."""

import re
import shlex
from ast import literal_eval
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

_TEXT = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_VALUE = rf"(?P<value>{_TEXT}|\((?:{_TEXT}),\)|True|False)"


def flag(name: str) -> str:
    """The option that sets a field: ``batch_size`` is ``--batch-size``."""
    return "--" + name.replace("_", "-")


def in_options(message: str, options: type[Any]) -> str:
    """A message of the library with a command's options in place of arguments: for
    ``ignore=('a b',)`` it says ``--ignore 'a b'``, for ``batch_size must be``
    ``--batch-size must be``.
    """
    switches = [field.name for field in fields(options) if isinstance(field.default, bool)]

    def option(argument: re.Match[str]) -> str:
        name = flag(argument[1])
        if argument["value"] is None:
            return name
        value = literal_eval(argument["value"])
        if argument[1] in switches:
            return name if value else flag(f"no-{argument[1]}")
        if isinstance(value, bool):
            value = "yes" if value else "no"
        return shlex.join([name, *(value if isinstance(value, tuple) else [value])])

    names = [field.name for field in fields(options)]
    # Not in a path, as of /data/label=3.csv.
    begin = r"(?<![\w./=-])"
    given = rf"{begin}({'|'.join(names)})=({_VALUE}|(?=[\s;,.]|$))"
    message = re.sub(given, option, message)

    def refused(name: re.Match[str]) -> str:
        return flag(name[0]) if name[0] in names else name[0]

    # A name of one word may be just that word.
    return re.sub(rf"{begin}\w+_\w+(?= must )", refused, message)


def require_at_least_one(options: Any, names: Iterable[str]) -> None:
    """Raise unless these counts are at least 1, or None, and name the option of the first that is
    not.
    """
    for name in names:
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, found {value}; change {flag(name)}")


def require_defaults(options: Any, names: Iterable[str], reason: str) -> None:
    """Raise if one of these options was chosen, which would change nothing."""
    chosen = [
        flag(field.name)
        for field in fields(options)
        if field.name in names and getattr(options, field.name) != field.default
    ]
    if chosen:
        raise ValueError(f"{', '.join(chosen)} {reason}; leave out {', '.join(chosen)}")


def require_thresholds(thresholds: Iterable[float]) -> None:
    """Raise unless every τ is finite and not negative."""
    wrong = [tau for tau in thresholds if not 0 <= tau < float("inf")]
    if wrong:
        raise ValueError(
            f"thresholds must be finite and not negative, found {wrong}; change --thresholds"
        )
