"""Names of their own: for values, as parts of files, columns and curves, and where one is taken."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


def value_names(values: Iterable[Any]) -> list[str]:
    """A name for each value, different ones: 0.3, 2, or a word.

    Numbers that are not whole have six digits, or all where six do not tell them apart. Of equal
    values the second is named "2~2".

    Example:
      >>> from jaxalign._core.naming import value_names
      >>> value_names([0.5, 2.0]), value_names([0.1, 0.10000001]), value_names([3, 3])
      (['0.5', '2'], ['0.1', '0.10000001'], ['3', '3~2'])
    """
    values = list(values)
    whole = [str(value) for value in values]
    short = [f"{x:g}" if isinstance(x, float | np.floating) else str(x) for x in values]
    names: list[str] = []
    for name in short if len(set(short)) == len(set(whole)) else whole:
        names.append(free_name(name, names.__contains__))
    return names


def free_name(name: str, is_taken: Callable[[str], bool]) -> str:
    """The first of NAME, NAME~2, NAME~3, ... that is not taken."""
    number = 2
    free = name
    while is_taken(free):
        free = f"{name}~{number}"
        number += 1
    return free
