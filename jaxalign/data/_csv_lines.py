"""The lines of a table in text: its encoding, its separator, its fields."""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

SEPARATORS = "\t;|,"
SAMPLE = 100
"""Lines that separator and header are judged by."""

_COMMA_NUMBER = re.compile(r"\s*[+-]?\d+,\d+([eE][+-]?\d+)?\s*", re.ASCII)
# Quotes count at the start of a field only: 5" is five inches.
_QUOTED = re.compile(r'(?:(?<=[\t;|,\n])|\A) *"(?:[^"]|"")*(?:"|\Z)')


class Line(NamedTuple):
    """A line that is not blank, with its number in the file."""

    number: int
    fields: list[str]


def read_lines(path: Path, encoding: str) -> list[Line]:
    """The lines of a file, each of as many fields, stripped of blanks around them.

    Raises:
      FileNotFoundError: no such file.
      ValueError: another encoding; quotes that do not close; an unclear separator; no lines; a line
        with more or fewer fields than the first.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file at {path}")
    text = _decoded(path, encoding)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=_separator(text, path),
        skipinitialspace=True,
        strict=True,
    )
    try:
        stripped = (Line(reader.line_num, [field.strip() for field in row]) for row in reader)
        lines = [line for line in stripped if any(line.fields)]
    except csv.Error as error:
        raise ValueError(
            f"line {reader.line_num} of {path} cannot be read as a .csv line: {error}"
        ) from None
    if not lines:
        raise ValueError(f"{path} is empty; it must hold rows of numbers and a label")
    _require_one_width(lines, path)
    return lines


def _decoded(path: Path, encoding: str) -> str:
    raw = path.read_bytes()
    # Spreadsheets mark what they write.
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif raw.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except (UnicodeError, LookupError, TypeError) as error:
        raise ValueError(
            f"{path} cannot be read as text in {encoding}: {error}; pass the encoding it was saved "
            "in, such as encoding='latin-1' or 'cp1252'"
        ) from None
    if "\0" in text:
        raise ValueError(
            f"{path} holds NUL characters, so it is not text in {encoding}; "
            "pass its encoding, such as 'utf-16', or export it as .csv"
        )
    return text


def _separator(text: str, path: Path) -> str:
    """The character that occurs, outside of quotes, as often in each line."""
    sample = "".join(islice(io.StringIO(text, newline=""), SAMPLE))
    lines = [line for line in _QUOTED.sub("q", sample).splitlines() if line.strip(" " + SEPARATORS)]
    if not lines:
        return ","
    regular = [s for s in SEPARATORS if lines[0].count(s) > 0 and _is_regular(s, lines)]
    if not regular:
        # Lines differ, so one of them will be refused: by what the first one looks like.
        return max(SEPARATORS, key=lines[0].count)
    if len(regular) == 1:
        return regular[0]
    # Decimal commas are as regular as the separator; any other text with a separator is not clear.
    clear = [s for s in regular if s != "," and _splits_numbers_only(s, lines, regular)]
    if len(clear) == 1:
        return clear[0]
    names = " or ".join(map(repr, regular))
    raise ValueError(
        f"the separator of {path} may be {names}; write fields that hold the other one in quotes"
    )


def _is_regular(separator: str, lines: Sequence[str]) -> bool:
    return len({line.count(separator) for line in lines}) == 1


def _splits_numbers_only(separator: str, lines: Sequence[str], regular: Sequence[str]) -> bool:
    """Whether what holds another separator is a number with a decimal comma."""
    return all(
        _COMMA_NUMBER.fullmatch(field) is not None
        for line in lines
        for field in line.split(separator)
        if any(other in field for other in regular)
    )


def _require_one_width(lines: Sequence[Line], path: Path) -> None:
    width = len(lines[0].fields)
    for number, fields in lines:
        if len(fields) != width:
            raise ValueError(
                f"line {number} of {path} must have {width} fields, as the first line, "
                f"found {len(fields)}"
            )
    if width < 2:
        raise ValueError(
            f"{path} must hold at least one number and a label a line, found one field, "
            f"{lines[0].fields[0]!r}; fields are separated by a comma, semicolon, tab or |"
        )
