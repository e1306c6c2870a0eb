"""Tables in text: columns of numbers, one column of labels."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from jaxalign.data._labelled import Labelled, is_number, require_pairs


class Line(NamedTuple):
    """A line that is not blank, with its number in the file."""

    number: int
    fields: list[str]


def read_csv(path: str | Path, *, label: str | None = None) -> Labelled:
    r"""The columns of a .csv file as inputs (n, p) float32, and one of them as labels (n,).

    The separator is the comma, semicolon or tab, whichever occurs most in the first line. The first
    line is a header if ``label`` is one of its fields, or if one of its fields is no number while
    the field below it is one.

    Args:
      path: the file, UTF-8.
      label: the column of labels, by name or, without a header, by its number from 1; by default
        the last one. Labels become integers if all are integers, else floats, else text.

    Returns:
      Labelled.

    Raises:
      FileNotFoundError: no such file.
      ValueError: no rows; no column ``label``; a line with more or fewer fields than the first; a
        field that is missing, no number, or not finite. The message names line and column.

    Example:
      >>> import tempfile
      >>> from jaxalign.data import read_csv
      >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
      ...     _ = file.write("length,width,species\n5.1,3.5,setosa\n6.2,2.9,virginica\n")
      ...     file.flush()
      ...     table = read_csv(file.name)
      >>> table.inputs.shape, table.labels.tolist()
      ((2, 2), ['setosa', 'virginica'])
    """
    lines = _read(Path(path))
    width = len(lines[0].fields)
    header = _header(lines, label)
    if header is None:
        rows = lines
        columns = [f"column {i + 1}" for i in range(width)]
    else:
        rows = lines[1:]
        columns = header
    _require_table(rows, width, path)
    target = _position(columns, label, header is not None, path)
    others = [i for i in range(width) if i != target]
    inputs = _numbers(rows, others, columns, path)
    labels = _labels(rows, target, columns[target], path)
    require_pairs(inputs, labels, str(path))
    return Labelled(inputs, labels, Path(path).name)


def _read(path: Path) -> list[Line]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file")
    try:
        # "sig" skips the byte order mark that spreadsheets write.
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=first.count), strict=True)
            lines = [
                Line(reader.line_num, fields)
                for fields in reader
                if any(field.strip() for field in fields)
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as a .csv file in UTF-8: {error}") from None
    if not lines:
        raise ValueError(f"{path} is empty; it must hold rows of numbers and a label")
    return lines


def _header(lines: Sequence[Line], label: str | None) -> list[str] | None:
    """The names of the columns, or None if the first line holds data."""
    first = [field.strip() for field in lines[0].fields]
    if label is not None and label in first and not is_number(label):
        return first
    for line in lines[1:2]:
        for name, below in zip(first, line.fields, strict=False):
            if is_number(below) and not is_number(name):
                return first
    return None


def _require_table(rows: Sequence[Line], width: int, path: str | Path) -> None:
    if not rows or width < 2:
        raise ValueError(
            f"{path} must hold rows of at least one number and a label, "
            f"found {len(rows)} rows of {width} columns"
        )
    for number, fields in rows:
        if len(fields) != width:
            raise ValueError(
                f"line {number} of {path} must have {width} fields, as the first line, "
                f"found {len(fields)}"
            )


def _position(columns: Sequence[str], label: str | None, named: bool, path: str | Path) -> int:
    if label is None:
        return len(columns) - 1
    if named and columns.count(label) > 1:
        raise ValueError(
            f"{path} has {columns.count(label)} columns named {label!r}; "
            "give that of the labels a name of its own"
        )
    if named and label in columns:
        return columns.index(label)
    if not named and label.isdecimal() and 1 <= int(label) <= len(columns):
        return int(label) - 1
    names = f"numbered 1 to {len(columns)}, as there is no header"
    if named:
        names = ", ".join(columns)
    raise ValueError(f"{path} has no column {label!r} for the labels; its columns are {names}")


def _numbers(
    rows: Sequence[Line], chosen: Sequence[int], columns: Sequence[str], path: str | Path
) -> Shaped[np.ndarray, "n p"]:
    numbers = np.array(
        [[_number(line.fields[i], path, line.number, columns[i]) for i in chosen] for line in rows],
        np.float32,
    )
    if not np.isfinite(numbers).all():
        row, place = np.argwhere(~np.isfinite(numbers))[0]
        column = chosen[place]
        raise _bad(path, rows[row].number, columns[column], rows[row].fields[column])
    return numbers


def _labels(
    rows: Sequence[Line], target: int, column: str, path: str | Path
) -> Shaped[np.ndarray, " n"]:
    texts = [line.fields[target].strip() for line in rows]
    for line, text in zip(rows, texts, strict=True):
        if not text:
            raise _bad(path, line.number, column, text)
    # The narrowest kind that holds them all: integers before floats before text.
    for kind in (np.int64, np.float64):
        try:
            return np.array(texts).astype(kind)
        except (ValueError, OverflowError):
            continue
    return np.array(texts)


def _number(text: str, path: str | Path, line: int, column: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _bad(path, line, column, text) from None


def _bad(path: str | Path, line: int, column: str, text: str) -> ValueError:
    content = repr(text) if text.strip() else "nothing"
    return ValueError(
        f"line {line}, column {column!r} of {path} must be a finite number (or a label), "
        f"found {content}; fill or drop it"
    )
