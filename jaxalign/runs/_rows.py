"""The rows of history.jsonl: one JSON object per step, which any JSON reader can read."""

import json
import math
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxalign._core.jsonl import json_lines
from jaxalign.runs._history import History

REMEDY = "the rows before it are whole, and can be read when it and all after it are deleted"


class Rows(NamedTuple):
    """What the rows of a run hold.

    Attributes:
      measured: (r,) the steps whose parameters were measured.
      columns: {"loss" or a metric: (t,), or (t, models)}.
    """

    measured: np.ndarray
    columns: dict[str, np.ndarray]


def rows_of(part: History) -> Iterator[dict[str, Any]]:
    """The rows of a part of a run: of a step that was measured, "measured" is true."""
    measured = set(part.measured.tolist())
    for t, step in enumerate(part.step.tolist()):
        row: dict[str, Any] = {"step": step, "loss": plain(part.loss[t])}
        row |= {name: plain(values[t]) for name, values in part.metrics.items()}
        if step in measured:
            row["measured"] = True
        yield row


def plain(values: Any) -> Any:
    """Numbers as JSON has them, nested as they are.

    Floats have as few digits as tell each from its neighbours in its own dtype. NaN is null;
    infinities, which JSON does not have either, are the strings "inf" and "-inf".
    """
    if np.ndim(values):
        return [plain(value) for value in values]
    if not jax.dtypes.issubdtype(np.asarray(values).dtype, np.floating):  # bfloat16 is one
        return np.asarray(values).item()
    number = float(str(values))
    if math.isnan(number):
        return None
    return number if math.isfinite(number) else str(number)


def read_rows(file: Path, dtypes: Mapping[str, str], models: int | None) -> Rows:
    """The rows of a history.jsonl, none if the run was killed before it made the file.

    No row stays in memory as an object: a run may have millions of them.

    Args:
      file: the history.jsonl.
      dtypes: {"loss" or a metric: of its numbers}.
      models: how many numbers each is a list of, or None for a single one.

    Raises:
      ValueError: a damaged row that is not the last one, rows that are not 0, 1, 2, ..., or
        measured rows that are not all or every k-th.
    """
    columns = {name: array(_typecode(dtype)) for name, dtype in dtypes.items()}
    measured = array("q")
    count = 0
    for row in json_lines(file, REMEDY) if file.exists() else ():
        problem = _problem(row, count, {"step", *dtypes})
        try:
            for name in () if problem else dtypes:
                columns[name].extend(_numbers(row[name], models))
        except (TypeError, ValueError, OverflowError):
            problem = "has values that are not numbers"
        if problem:
            raise ValueError(f"line {count + 1} of {file} {problem}; {REMEDY}")
        if "measured" in row:
            measured.append(count)
        count += 1
    steps = np.array(measured, np.int32)
    _require_regular(steps, count, file)
    shape = (count,) if models is None else (count, models)
    arrays = {name: np.array(columns[name], dtypes[name]).reshape(shape) for name in dtypes}
    return Rows(steps, arrays)


def cut_rows(file: Path, step: int) -> int:
    """Cut the rows to those before a step; returns how many of these were measured.

    Raises:
      ValueError: there are fewer.
    """
    count = 0
    measured = 0
    size = 0
    if file.exists():
        with open(file, "rb") as stream:
            for line in islice(stream, step):
                if line.endswith(b"\n"):
                    count += 1
                    measured += "measured" in json.loads(line)
                    size += len(line)
    if count < step:
        raise ValueError(
            f"{file} must hold the {step} rows before step {step} to go on from it, found {count}"
        )
    if file.exists():
        os.truncate(file, size)
    return measured


def _typecode(dtype: str) -> str:
    """What ``array`` calls the widest numbers of a kind."""
    kinds = {"u": "Q", "i": "q", "b": "q"}
    return kinds.get(np.dtype(dtype).kind, "d")


def _problem(row: Any, step: int, names: set[str]) -> str | None:
    """What is wrong with the row of a step, if anything is."""
    if not isinstance(row, dict) or "step" not in row:
        return "is not a row of a run"
    if row["step"] != step:
        return f"must be step {step}, found {row['step']}: rows were lost or mixed"
    if set(row) - {"measured"} != names:
        return f"must have {', '.join(sorted(names))}, found {', '.join(sorted(row))}"
    return None


def _numbers(values: Any, models: int | None) -> Sequence[Any]:
    """What ``plain`` made JSON of: one number, or a list of one each."""
    if models is None:
        return [_number(values)]
    if not isinstance(values, list) or len(values) != models:
        raise TypeError("no list of numbers of the models")
    return list(map(_number, values))


def _number(value: Any) -> Any:
    if value is None:
        return math.nan
    if value in ("inf", "-inf"):
        return float(value)
    return value


def _require_regular(measured: np.ndarray, rows: int, file: Path) -> None:
    """Raise unless all rows were measured, or every k-th."""
    every = rows
    if len(measured) > 1:
        every = int(measured[1])
    if len(measured) and not np.array_equal(measured, np.arange(0, rows, every)):
        raise ValueError(
            f"{file} must have measured rows at every {every}-th step, found some missing: "
            "rows were damaged"
        )
