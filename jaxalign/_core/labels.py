"""Values as parts of names: of files, columns and curves."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def labels(values: Iterable[Any]) -> list[str]:
    """A label for each value, different ones: 0.3, 2, or a word.

    Numbers that are not whole have six digits, or all where six do not tell them apart. Of equal
    values the second is labelled "2~2".

    Example:
      >>> from jaxalign._core.labels import labels
      >>> labels([0.5, 2.0]), labels([0.1, 0.10000001]), labels([3, 3])
      (['0.5', '2'], ['0.1', '0.10000001'], ['3', '3~2'])
    """
    values = list(values)
    whole = [str(value) for value in values]
    short = [f"{x:g}" if isinstance(x, float | np.floating) else str(x) for x in values]
    chosen = short if len(set(short)) == len(set(whole)) else whole
    return [_numbered(chosen, i) for i in range(len(chosen))]


def _numbered(names: Sequence[str], i: int) -> str:
    before = names[:i].count(names[i])
    return f"{names[i]}~{before + 1}" if before else names[i]
