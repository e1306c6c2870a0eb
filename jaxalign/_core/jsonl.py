"""Files of one JSON value per line that grow while others read them: an unfinished last line is
ignored.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def json_lines(file: Path, remedy: str) -> Iterator[Any]:
    """The value of every whole line, in order, one in memory at a time; what follows the last line
    end is unfinished.

    Raises:
      ValueError: a damaged line; the message names it and gives the remedy.
    """
    with open(file, "rb") as stream:
        for number, line in enumerate(stream):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:  # no JSON, or no text
                raise ValueError(
                    f"line {number + 1} of {file} is damaged ({error}); {remedy}"
                ) from None


def replace_lines(file: Path, lines: Iterable[str]) -> None:
    """Replace the content of a file by these lines.

    A process that is killed here leaves the old lines or the new ones, never a mixture.
    """
    partial = file.with_name(file.name + ".partial")
    partial.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    partial.replace(file)
