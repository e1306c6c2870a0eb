"""Whether the first line of a table names its columns; where it may or may not, it is refused."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from jaxalign.data._csv_columns import is_missing, is_number, is_truth

_RISING = 6
"""So many numbers do not rise by chance, as wavelengths and years do."""
_COUNTED_FROM_1 = 4
"""So many numbers from 1 are a count; 1, 2, 3 are as often a row."""


def has_header(first: Sequence[str], rows: Sequence[Sequence[str]], path: Path) -> bool:
    """Whether ``first`` names the columns of the rows below it.

    Names are text over numbers, or column numbers as pandas writes them over numbers with decimals.

    Raises:
      ValueError: it may be either.
    """
    columns = list(zip(*rows, strict=True))
    if not columns:
        return not any(map(_is_value, first))
    numbers = [field for field in first if _is_value(field)]
    ordered = _is_count(numbers) or (_is_rising(numbers) and not _is_rising(rows[0]))
    over_numbers = any(
        not _is_value(name) and not is_missing(name) and _mostly_values(column)
        for name, column in zip(first, columns, strict=True)
    )
    if over_numbers and (ordered or not numbers):
        return True
    if over_numbers or not numbers:
        raise _unclear(first, path)
    if len(numbers) < len(first):
        # A class that only the first line has, beside numbers in order, is the name of the labels.
        unnamed = first[0] == "" and ordered
        return unnamed or (ordered and _has_lone_text(first, columns))
    return _are_column_numbers(first, columns, ordered, path)


def _are_column_numbers(
    first: Sequence[str], columns: Sequence[Sequence[str]], ordered: bool, path: Path
) -> bool:
    """Whether a line of numbers names columns."""
    decimal = [all(_has_decimals(text) for text in column) for column in columns]
    if _is_count(first) and any(decimal):
        return True
    whole_over_decimals = all(decimal[:-1]) and not any(map(_has_decimals, first))
    if ordered or (whole_over_decimals and len(columns[0]) > 2):
        raise _unclear(first, path)
    return False


def _is_count(texts: Sequence[str]) -> bool:
    count = len(texts)
    if list(texts) == [str(i) for i in range(count)]:
        return count > 1
    return list(texts) == [str(i + 1) for i in range(count)] and count >= _COUNTED_FROM_1


def _is_rising(texts: Sequence[str]) -> bool:
    numbers = [float(text.replace(",", ".")) for text in texts if is_number(text)]
    rises = all(low < high for low, high in pairwise(numbers))
    return len(numbers) >= _RISING and rises


def _has_decimals(text: str) -> bool:
    return is_number(text) and not text.lstrip("+-").isdecimal()


def _is_value(text: str) -> bool:
    return is_number(text) or is_truth(text)


def _mostly_values(column: Sequence[str]) -> bool:
    known = [text for text in column if not is_missing(text)]
    return 2 * sum(map(_is_value, known)) > len(known)


def _has_lone_text(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    return any(
        not is_number(name) and name not in column and len(set(column)) < len(column)
        for name, column in zip(first, columns, strict=True)
    )


def _unclear(first: Sequence[str], path: Path) -> ValueError:
    shown = ", ".join(map(repr, first[:4]))
    return ValueError(
        f"the first line of {path} ({shown}, ...) may be a header or data; "
        "pass header=True or header=False"
    )
