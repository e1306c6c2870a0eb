"""Tables in text: columns of numbers, one column of labels."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxalign.data._labelled import Labelled, is_number, require_pairs


def read_csv(path: str | Path, *, label: str | None = None) -> Labelled:
    r"""The columns of a .csv file as inputs (n, p) float32, and one of them as labels (n,).

    Fields are separated by commas, semicolons or tabs, whichever the first line has most of. The
    first line is a header if one of its fields is no number where the second line has one; or if
    ``label`` is in it.

    Args:
      path: the file, UTF-8.
      label: the column of labels, by name or, without a header, by its number from 1; by default
        the last one. Labels are integers if all are, else floats, else text.

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
      ...     _ = file.write("length,width,species\n5.1,3.5,setosa\n6.2,2.9,virginica\n"), file.flush()
      ...     table = read_csv(file.name)
      >>> table.inputs.shape, table.labels.tolist()
      ((2, 2), ['setosa', 'virginica'])
    """
    lines = _read(Path(path))
    names = _header(lines, label)
    rows = lines if names is None else lines[1:]
    width = len(lines[0][1])
    columns = [f"column {i + 1}" for i in range(width)] if names is None else names
    if not rows or width < 2:
        raise ValueError(
            f"{path} must hold rows of at least one number and a label, found {len(rows)} rows of {width} columns"
        )
    for number, fields in rows:
        if len(fields) != width:
            raise ValueError(
                f"line {number} of {path} must have {width} fields, as the first line, found {len(fields)}"
            )
    target = _position(columns, label, names is not None, path)
    others = [i for i in range(width) if i != target]
    inputs = np.array(
        [[_number(fields[i], path, number, columns[i]) for i in others] for number, fields in rows],
        np.float32,
    )
    if not np.isfinite(inputs).all():
        row, column = np.argwhere(~np.isfinite(inputs))[0]
        raise _bad(path, rows[row][0], columns[others[column]], rows[row][1][others[column]])
    labels = _labels(
        [(number, fields[target].strip()) for number, fields in rows], path, columns[target]
    )
    require_pairs(inputs, labels, str(path))
    return Labelled(inputs, labels, Path(path).name)


def _read(path: Path) -> list[tuple[int, list[str]]]:
    """(line number, fields) of every line that is not blank."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=first.count), strict=True)
            lines = [
                (reader.line_num, fields)
                for fields in reader
                if any(field.strip() for field in fields)
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as a .csv file in UTF-8: {error}") from None
    if not lines:
        raise ValueError(f"{path} is empty; it must hold rows of numbers and a label")
    return lines


def _header(lines: Sequence[tuple[int, list[str]]], label: str | None) -> list[str] | None:
    first = [field.strip() for field in lines[0][1]]
    second = lines[1][1] if len(lines) > 1 else []
    named = any(not is_number(a) and is_number(b) for a, b in zip(first, second, strict=False))
    return (
        first if named or (label is not None and label in first and not is_number(label)) else None
    )


def _position(columns: Sequence[str], label: str | None, named: bool, path: str | Path) -> int:
    if label is None:
        return len(columns) - 1
    if named and columns.count(label) > 1:
        raise ValueError(
            f"{path} has {columns.count(label)} columns named {label!r}; give that of the labels a name of its own"
        )
    if named and label in columns:
        return columns.index(label)
    if not named and label.isdecimal() and 1 <= int(label) <= len(columns):
        return int(label) - 1
    there_are = (
        ", ".join(columns) if named else f"numbered 1 to {len(columns)}, as there is no header"
    )
    raise ValueError(f"{path} has no column {label!r} for the labels; its columns are {there_are}")


def _labels(fields: Sequence[tuple[int, str]], path: str | Path, column: str) -> np.ndarray:
    for number, text in fields:
        if not text:
            raise _bad(path, number, column, text)
    texts = [text for _, text in fields]
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
    found = repr(text) if text.strip() else "nothing"
    return ValueError(
        f"line {line}, column {column!r} of {path} must be a finite number (or a label), found {found}; fill or drop it"
    )
