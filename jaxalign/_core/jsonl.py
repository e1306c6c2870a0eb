"""Files of one JSON value a line that grow while others read them: a torn last line does not count."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def whole_lines(file: Path) -> list[str]:
    """The lines that have an end; what follows the last line end is empty, or torn."""
    return file.read_text(encoding="utf-8").split("\n")[:-1]


def json_lines(file: Path, remedy: str) -> Iterator[Any]:
    """The value of every whole line, in order.

    Raises:
      ValueError: when it comes to a damaged line, which it names, with the remedy.
    """
    for number, line in enumerate(whole_lines(file)):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(
                f"line {number + 1} of {file} is damaged ({error}); {remedy}"
            ) from None


def replace_lines(file: Path, lines: Iterable[str]) -> None:
    """Make a file hold these lines, in one move: a process that is killed here leaves the old ones
    or the new ones.
    """
    partial = file.with_name(file.name + ".partial")
    partial.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    partial.replace(file)
