"""What to say first of a comparison: the pairs that are most alike."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxalign.comparison import Comparison
from jaxalign.style.html import number


class Match(NamedTuple):
    """A layer of A with the layer of B that is most alike.

    Attributes:
      first: the layer of A.
      second: the layer of B; None where no pair has a value.
      value: of the measure.
      chance: its mean by chance; None where it is not known.
      p_value: None where it is not known.
    """

    first: str
    second: str | None
    value: float
    chance: float | None
    p_value: float | None


def matches(comparison: Comparison, *, others: bool = False) -> Iterator[Match]:
    """The most alike layer of B for every layer of A; with ``others``, other than itself, where
    both are one model.
    """
    values = comparison.pairs.values
    names = list(comparison.second)
    for i, first in enumerate(comparison.first):
        row = values[i].astype(float)
        if others and first in names:
            row[names.index(first)] = np.nan
        if np.isnan(row).all():
            yield Match(first, None, np.nan, None, None)
            continue
        j = int(np.nanargmin(row) if comparison.is_distance else np.nanargmax(row))
        yield Match(first, names[j], float(row[j]), *_chance(comparison, i, j))


def _chance(comparison: Comparison, i: int, j: int) -> tuple[float | None, float | None]:
    chance = comparison.pairs.chance
    if chance is None:
        return None, None
    p_value = None if chance.p_value is None else float(chance.p_value[i, j])
    return float(chance.mean[i, j]), p_value


def best_match(comparison: Comparison, *, others: bool = False) -> Match | None:
    """The most alike pair of all; None where no pair has a value."""
    found = [match for match in matches(comparison, others=others) if match.second is not None]
    if not found:
        return None
    sign = 1 if comparison.is_distance else -1
    return min(found, key=lambda match: sign * match.value)


def shown(value: float | None) -> str:
    """A value of a measure for people."""
    if value is None or np.isnan(value):
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    # Without the sign of what is rounded to 0.
    return number(round(value, 3) + 0.0, 2 if abs(value) >= 10 else 3).replace("-", "−")


def shown_p(p_value: float | None, permutations: int) -> str:
    """A p-value for people; the smallest there can be is a bound."""
    if p_value is None or np.isnan(p_value):
        return "–"
    least = 1 / (1 + permutations) if permutations else 1e-3
    if p_value <= least * (1 + 1e-6):
        return f"≤ {least:.2g}"
    return f"{p_value:.2g}"
