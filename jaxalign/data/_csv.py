"""Tables in text: columns of numbers, one column of labels."""

import re
from collections.abc import Collection, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from jaxalign.data._csv_columns import (
    Column,
    Decimal,
    is_missing,
    is_number,
    labels_of,
    numbers_of,
    with_points,
)
from jaxalign.data._csv_header import has_header
from jaxalign.data._csv_lines import SAMPLE, Line, read_lines
from jaxalign.data._labelled import Labelled, labelled

Missing = Literal["refuse", "drop"]
Categories = Literal["refuse", "one-hot"]

# Names under which pandas and R write the numbers of rows.
_UNNAMED = re.compile(r"|Unnamed: \d+")
_COUNT = re.compile(r"\d{1,18}(\.0*)?", re.ASCII)
_INDEX = re.compile(r"|Unnamed: \d+|id|index|row([ _.]?(id|names?|numbers?))?", re.IGNORECASE)


def read_csv(
    path: str | Path,
    *,
    label: str | None = None,
    header: bool | None = None,
    ignore: Sequence[str] = (),
    missing: Missing = "refuse",
    categories: Categories = "refuse",
    decimal: Decimal | None = None,
    encoding: str = "utf-8",
) -> Labelled:
    r"""The columns of a .csv file as inputs (n, p) float64, and one of them as labels (n,).

    The separator is the comma, semicolon, tab or ``|``, whichever occurs as often in every line. An
    index is left out: first columns without a name, and columns named id or index that count rows.

    Args:
      path: the file. A byte order mark counts more than ``encoding``.
      label: the column of labels, by name or, without a header, by its number from 1; by default
        the last one. Labels become integers if all are integers, else floats, else text; codes with
        leading zeros stay text.
      header: whether the first line names the columns; by default it is found out, and refused
        where it may be either.
      ignore: columns to leave out, named as ``label`` is.
      missing: of rows with an empty field, NA, NaN, null, None, ?, - or a lone point: "drop" them.
      categories: of columns of text: "one-hot" makes a column of 0 and 1 of each of their values,
        ascending. True and False are 1 and 0 in any case.
      decimal: the decimal mark; by default a comma where numbers have no other.
      encoding: of the text.

    Returns:
      Labelled; its source says how many rows were dropped.

    Raises:
      FileNotFoundError: no such file.
      ValueError: another encoding; no rows; no such column; a line with more or fewer fields than
        the first; a field that is missing, no number, or not finite; whatever has two readings. The
        message names line and column.

    Example:
      >>> import tempfile
      >>> from jaxalign.data import read_csv
      >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
      ...     _ = file.write("length,width,species\n5.1,3.5,setosa\n6.2,2.9,virginica\n")
      ...     file.flush()
      ...     table = read_csv(file.name)
      >>> table.inputs.shape, table.labels.tolist()
      ((2, 2), ['setosa', 'virginica'])

    Source: ours.
    """
    path = Path(path)
    _require_names(label, ignore)
    _require_choices(header, missing, categories, decimal)
    lines = _without_end(read_lines(path, encoding))
    names, rows = _named(lines, label, header, path)
    if not rows:
        raise ValueError(f"{path} must hold rows below its header, found none")
    numbers = [line.number for line in rows]
    fields = zip(*(line.fields for line in rows), strict=True)
    columns = [Column(name, numbers, texts) for name, texts in zip(names, fields, strict=True)]
    target = len(names) - 1
    if label is not None:
        target = _position(names, label, path)
    chosen = [columns[i] for i in _inputs(columns, target, ignore, path)]
    try:
        known = _without_missing([*chosen, columns[target]], missing)
        *features, kinds = with_points(known, decimal)
        inputs = [numbers_of(column, one_hot=categories == "one-hot") for column in features]
        labels = labels_of(kinds)
    except ValueError as error:
        raise ValueError(f"{path}, {error}") from None
    return labelled(np.hstack(inputs), labels, _source(path, len(rows), len(labels)))


def _require_names(label: Any, ignore: Any) -> None:
    if not (label is None or isinstance(label, str)):
        raise TypeError(f"label must be a text, found {label!r}; pass {str(label)!r}")
    if isinstance(ignore, str) or not isinstance(ignore, Collection):
        raise TypeError(f"ignore must be a sequence of names, found {ignore!r}; pass ('name',)")


def _require_choices(header: Any, missing: Any, categories: Any, decimal: Any) -> None:
    choices = {
        "header": (header, (True, False, None)),
        "missing": (missing, get_args(Missing)),
        "categories": (categories, get_args(Categories)),
        "decimal": (decimal, (*get_args(Decimal), None)),
    }
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, found {value!r}")


def _without_end(lines: Sequence[Line]) -> Sequence[Line]:
    """The lines, without the column that a separator at the end of every line would begin: it has
    neither a name nor a value.
    """
    if len(lines[0].fields) < 2 or any(line.fields[-1] for line in lines):
        return lines
    return [line._replace(fields=line.fields[:-1]) for line in lines]


def _named(
    lines: Sequence[Line], label: str | None, header: bool | None, path: Path
) -> tuple[list[str], Sequence[Line]]:
    """The names of the columns, their numbers without a header, and the lines of data."""
    first = lines[0].fields
    if header is None and label is not None and label in first and not is_number(label):
        header = True
    if header is None:
        header = has_header(first, [line.fields for line in lines[1 : SAMPLE + 1]], path)
    if header:
        return first, lines[1:]
    return [str(i + 1) for i in range(len(first))], lines


def _position(names: Sequence[str], name: str, path: Path) -> int:
    if names.count(name) > 1:
        raise ValueError(
            f"{path} has {names.count(name)} columns named {name!r}; give each a name of its own"
        )
    if name not in names:
        raise ValueError(f"{path} has no column {name!r}; its columns are {', '.join(names)}")
    return names.index(name)


def _inputs(
    columns: Sequence[Column], target: int, ignore: Collection[str], path: Path
) -> list[int]:
    """The columns of inputs: neither ignored nor an index.

    Raises:
      ValueError: none is left; the labels are ignored or an index; without a header, a first column
        that counts the rows: it may be an index.
    """
    names = [column.name for column in columns]
    ignored = {_position(names, name, path) for name in ignore}
    if target in ignored:
        raise ValueError(f"ignore must not hold the column of labels, {names[target]!r}")
    indexes = _indexes(columns)
    if target in indexes:
        raise ValueError(
            f"the column of labels of {path}, {names[target]!r}, counts the rows; "
            "pass label= with the name of another"
        )
    first = columns[0]
    may_be_index = first.name == "1" and target > 1 and len(first.texts) > 2
    if may_be_index and 0 not in ignored and _counts_rows(first):
        raise ValueError(
            f"column '1' of {path} counts the rows; pass ignore=('1',) to leave it out, or write a "
            "line of names over the columns to keep it"
        )
    inputs = [i for i in range(len(columns)) if i not in ignored | indexes | {target}]
    if not inputs:
        raise ValueError(f"{path} must hold a column of inputs beside the labels, found none")
    return inputs


def _indexes(columns: Sequence[Column]) -> set[int]:
    """The columns that say which row it is: by their place without a name, or by name and count."""
    unnamed = list(takewhile(lambda column: _UNNAMED.fullmatch(column.name), columns[:-1]))
    named = {
        i
        for i, column in enumerate(columns)
        if _INDEX.fullmatch(column.name) and _counts_rows(column)
    }
    return set(range(len(unnamed))) | named


def _counts_rows(column: Column) -> bool:
    """Whether it counts from 0 or 1: also as 01, 02 and as 1.0, 2.0."""
    if not all(map(_COUNT.fullmatch, column.texts)):
        return False
    counts = [int(text.partition(".")[0]) for text in column.texts]
    return counts[0] in (0, 1) and counts == list(range(counts[0], counts[0] + len(counts)))


def _without_missing(columns: Sequence[Column], missing: Missing) -> list[Column]:
    """The columns, without the rows of which a value is not known."""
    unknown = np.zeros(len(columns[0].texts), bool)
    for column in columns:
        marks = {text for text in set(column.texts) if is_missing(text)}
        if not marks:
            continue
        rows = [text in marks for text in column.texts]
        if missing == "refuse":
            raise column.bad(
                rows.index(True), "the value is missing; fill it, or pass missing='drop'"
            )
        unknown |= rows
    if unknown.all():
        raise ValueError("every row lacks a value; leave columns out by ignore=")
    known = np.flatnonzero(~unknown).tolist()
    return [
        Column(name, [lines[row] for row in known], [texts[row] for row in known])
        for name, lines, texts in columns
    ]


def _source(path: Path, rows: int, kept: int) -> str:
    if kept == rows:
        return path.name
    return f"{path.name} without {rows - kept:,} of {rows:,} rows that lack a value"
