"""The rows of history.jsonl: one JSON object per step, which any JSON reader can read."""

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxalign._core.jsonl import json_lines
from jaxalign.runs._history import History
from jaxalign.runs._layout import ScalarColumn


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


def read_rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a history.jsonl.

    Raises:
      ValueError: a damaged row that is not the last one, or rows that are not 0, 1, 2, ...
    """
    rows = []
    for number, row in enumerate(json_lines(file, "the rows before it are whole")):
        if row["step"] != number:
            raise ValueError(
                f"line {number + 1} of {file} must be step {number}, found {row['step']}: "
                "rows were lost or mixed"
            )
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
