"""From columns of text to numbers, indicators of categories, and labels."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

Decimal = Literal[".", ","]

MISSING = {"", "na", "n/a", "nan", "nat", "#n/a", "<na>", "null", "none", "?", "-", "."}
"""Texts, in lower case, that stand for a value that is not known."""
MOST_CATEGORIES = 100
"""A column of more different texts is one of names or dates, not of categories."""

_PLAIN = set("0123456789+-.eE")  # float() also takes 1_000, infinity and the digits of all scripts
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+", re.ASCII)
_INTEGER = re.compile(r"0|-?[1-9]\d*", re.ASCII)
# Digits that say which number is meant, however large, where 9e15 says about which.
_WHOLE = re.compile(r"[+-]?(\d+)(\.0*)?", re.ASCII)
_DIGIT = re.compile(r"[1-9]")
_CODE = re.compile(r"[+-]?0\d+", re.ASCII)


class Column(NamedTuple):
    """A column of a table: where its values are, and what they are."""

    name: str
    lines: Sequence[int]
    texts: Sequence[str]

    def bad(self, row: int, reason: str) -> ValueError:
        """The error about one of its values."""
        return ValueError(
            f"line {self.lines[row]}, column {self.name!r}: found {self.texts[row]!r}; {reason}"
        )


def is_missing(text: str) -> bool:
    """Whether a text stands for a value that is not known."""
    return text.casefold() in MISSING


def is_number(text: str) -> bool:
    """Whether a text is a number, with a decimal point or comma."""
    return _NUMBER.fullmatch(text) is not None


def is_truth(text: str) -> bool:
    """Whether a text is True or False, in any case."""
    return text.casefold() in ("true", "false")


def with_points(columns: Sequence[Column], decimal: Decimal | None) -> list[Column]:
    """The columns, those of numbers with decimal points in place of decimal commas.

    Raises:
      ValueError: commas of which it is not clear whether they are decimal.
    """
    commas = [column for column in columns if _has_marked_numbers(",", column.texts)]
    if not commas or decimal == ".":
        return list(columns)
    marked = [text for column in commas for text in column.texts if "," in text]
    clear = decimal == "," or any(_THOUSANDS.fullmatch(text) is None for text in marked)
    if not clear or any(_has_marked_numbers(".", column.texts) for column in columns):
        column = commas[0]
        row = next(i for i, text in enumerate(column.texts) if "," in text)
        raise column.bad(
            row,
            "whether its comma is decimal is not clear; write numbers of one file alike, "
            "without separators of thousands, or pass decimal=',' if no number has a point",
        )
    return [
        column._replace(texts=[text.replace(",", ".") for text in column.texts])
        if column in commas
        else column
        for column in columns
    ]


def numbers_of(column: Column, *, one_hot: bool) -> Float[np.ndarray, "n m"]:
    """A column as one of numbers, or, of texts, as indicators of each of its values, ascending.

    Raises:
      ValueError: a value that is not a finite number among numbers; texts unless ``one_hot``, or
        too many different ones.
    """
    values = _floats(column.texts)
    if values is not None:
        _require_held(column, values)
        return values[:, None]
    different = sorted(set(column.texts))
    if all(map(is_truth, different)):
        return np.array([[text.casefold() == "true"] for text in column.texts], float)
    row = _first_bad(column)
    if 2 * sum(map(is_number, column.texts)) >= len(column.texts):
        raise column.bad(row, "a finite number is needed; correct it")
    if not one_hot:
        raise column.bad(
            row, f"text is not a number; pass categories='one-hot', or ignore=({column.name!r},)"
        )
    if len(different) > MOST_CATEGORIES:
        raise column.bad(
            row,
            f"{len(different):,} different texts are not categories, at most {MOST_CATEGORIES} "
            f"are; pass ignore=({column.name!r},)",
        )
    return (np.array(column.texts)[:, None] == np.array(different)).astype(float)


def labels_of(column: Column) -> Shaped[np.ndarray, " n"]:
    """A column as labels: integers if all are, else floats, else text.

    Different texts stay different: codes such as 007 are text.

    Raises:
      ValueError: texts that differ and are one number; a text among numbers that occurs once.
    """
    different = set(column.texts)
    if all(map(_INTEGER.fullmatch, different)):
        integers = [int(text) for text in column.texts]
        if max(map(abs, integers)) < 2**63:
            return np.array(integers, np.int64)
        return np.array(column.texts)
    values = _floats(column.texts)
    if any(map(_CODE.fullmatch, different)):
        return np.array(column.texts)
    if values is None:
        _require_no_stray_text(column)
        return np.array(column.texts)
    _require_held(column, values)
    if (values == np.round(values)).all() and len(np.unique(values)) < len(different):
        row = next(i for i, text in enumerate(column.texts) if not _INTEGER.fullmatch(text))
        raise column.bad(row, "the same number is also written otherwise; write labels alike")
    return values


def _has_marked_numbers(mark: str, texts: Iterable[str]) -> bool:
    different = set(texts)
    return any(mark in text for text in different) and all(map(is_number, different))


def _floats(texts: Sequence[str]) -> Float[np.ndarray, " n"] | None:
    if not set("".join(texts)) <= _PLAIN:
        return None
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        return None


def _require_held(column: Column, values: Float[np.ndarray, " n"]) -> None:
    """Raise unless float64 holds what the texts say."""
    # A zero is at most a few different texts.
    zeros = {text for text in set(column.texts) if float(text) == 0}
    lost = {text for text in zeros if _DIGIT.search(re.split("[eE]", text)[0])}
    if lost:
        row = next(i for i, text in enumerate(column.texts) if text in lost)
        raise column.bad(row, "float64 holds 0 in its place; scale it")
    for row in np.flatnonzero(~(np.abs(values) < 2**53)).tolist():
        text = column.texts[row]
        if not np.isfinite(values[row]):
            raise column.bad(row, "a number in the range of float64 is needed; scale it")
        digits = _WHOLE.fullmatch(text)
        if digits is not None and int(digits[1]) != abs(int(values[row])):
            raise column.bad(row, f"float64 holds {values[row]:.0f} in its place; scale it")


def _first_bad(column: Column) -> int:
    """The first value that is not a number, else the first with a decimal comma."""
    texts = [i for i, text in enumerate(column.texts) if not is_number(text)]
    commas = [i for i, text in enumerate(column.texts) if "," in text]
    return min(texts or commas)


def _require_no_stray_text(column: Column) -> None:
    counts = Counter(text for text in column.texts if not is_number(text))
    if 2 * counts.total() <= len(column.texts) and 1 in counts.values():
        row = next(i for i, text in enumerate(column.texts) if counts[text] == 1)
        raise column.bad(row, "the other labels are numbers; correct it")
