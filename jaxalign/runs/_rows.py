"""The rows of history.jsonl: one JSON object per step, which any JSON reader can read."""

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxalign._core.jsonl import json_lines
from jaxalign.runs._history import History
from jaxalign.runs._layout import ScalarColumn

REMEDY = "the rows before it are whole, and can be read when it and all after it are deleted"


def rows_of(part: History, scalars: Mapping[str, ScalarColumn]) -> Iterator[dict[str, Any]]:
    """The rows of a part of a run, with its scalar measures; a step that was not measured has no
    "layers".
    """
    place = {int(step): i for i, step in enumerate(part.measured)}
    for t, step in enumerate(part.step.tolist()):
        row: dict[str, Any] = {"step": step, "loss": plain(part.loss[t])}
        row |= {name: plain(values[t]) for name, values in part.metrics.items()}
        if step in place:
            row["layers"] = {
                layer: {
                    name: plain(logged[name][place[step]]) for name in logged if name in scalars
                }
                for layer, logged in part.layers.items()
            }
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


def numbers(values: Sequence[Any], dtype: str) -> np.ndarray:
    """What ``plain`` made JSON of, as an array."""
    flat = np.array(values, dtype=object)
    filled = np.where(flat == None, np.nan, flat)  # noqa: E711  # elementwise
    if np.dtype(dtype).isbuiltin != 1:  # bfloat16 is not read from "inf"
        filled = filled.astype(np.float64)
    return filled.astype(dtype)


class Columns(NamedTuple):
    """What a row has to hold.

    Attributes:
      names: beside the layers.
      scalars: {layer: its scalar measures}, in a row that was measured.
      models: how many numbers each is a list of, or None for a single one.
    """

    names: set[str]
    scalars: dict[str, set[str]]
    models: int | None

    def problem(self, row: Any, step: int) -> str | None:
        """What is wrong with the row of a step, if anything is."""
        if not isinstance(row, dict) or "step" not in row:
            return "is no row of a run"
        if row["step"] != step:
            return f"must be step {step}, found {row['step']}: rows were lost or mixed"
        layers = row.get("layers", {})
        if not isinstance(layers, dict) or not all(isinstance(x, dict) for x in layers.values()):
            return "has layers that are none"
        if set(row) - {"layers"} != self.names:
            return f"must have {', '.join(sorted(self.names))}, found {', '.join(sorted(row))}"
        if "layers" in row and {name: set(x) for name, x in layers.items()} != self.scalars:
            return "lacks measures of layers, or has others"
        values = [row[name] for name in self.names]
        values += [value for logged in layers.values() for value in logged.values()]
        if not all(self._are_numbers(value) for value in values if value is not row["step"]):
            return "has values that are no numbers"
        return None

    def _are_numbers(self, values: Any) -> bool:
        if self.models is not None:
            return (
                isinstance(values, list)
                and len(values) == self.models
                and all(map(_is_number, values))
            )
        return _is_number(values)


def _is_number(value: Any) -> bool:
    return value in (None, "inf", "-inf") or isinstance(value, int | float)


def read_rows(file: Path, columns: Columns) -> list[dict[str, Any]]:
    """The rows of a history.jsonl, none if the run was killed before it made the file.

    Raises:
      ValueError: a damaged row that is not the last one, or rows that are not 0, 1, 2, ...
    """
    rows = []
    for number, row in enumerate(json_lines(file, REMEDY) if file.exists() else ()):
        problem = columns.problem(row, number)
        if problem:
            raise ValueError(f"line {number + 1} of {file} {problem}; {REMEDY}")
        rows.append(row)
    return rows


def scalars_of(
    rows: Sequence[Mapping[str, Any]],
    layer: str,
    scalars: Mapping[str, ScalarColumn],
    models: tuple,
) -> OrderedDict[str, np.ndarray]:
    """{measure: (r, ...)} of a layer from the measured rows."""
    columns: OrderedDict[str, np.ndarray] = OrderedDict()
    for name, column in scalars.items():
        if layer in column.layers:
            values = [row["layers"][layer][name] for row in rows]
            columns[name] = numbers(values, column.dtype).reshape(len(rows), *models)
    return columns
