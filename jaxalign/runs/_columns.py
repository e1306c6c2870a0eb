"""A history as the columns of a table: its numbers, or one measure with its axes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxalign._core.kinds import require_kind
from jaxalign.runs._history import History

Block = dict[str, np.ndarray]
"""Columns of one length, of the rows of one layer."""


def columns(history: History, measure: str | None = None) -> dict[str, np.ndarray | list[Any]]:
    """{name: its values, a number each or, where some are missing or text, a list}.

    Args:
      history: of a run.
      measure: None for all that is a number: a row per step, layer and model. A name for the values
        of that measure: a row per step, layer, model and place on its axes.

    Raises:
      ValueError: no layer has the measure.
      TypeError: a measure that is not a name.
    """
    if measure is None:
        blocks = list(_blocks_of_numbers(history))
    else:
        require_kind(measure, str, "measure", "pass the name of a measure")
        names = dict.fromkeys(name for logged in history.layers.values() for name in logged)
        if measure not in names:
            raise ValueError(
                f"measure must be one that the run logged, {', '.join(names) or 'none'}, "
                f"found {measure!r}"
            )
        blocks = list(_blocks_of_measure(history, measure))
    joined = {name: _joined(blocks, name) for name in dict.fromkeys(n for b in blocks for n in b)}
    order = np.argsort(joined["step"], kind="stable")
    return {name: _plain(values[order]) for name, values in joined.items()}


def free_name(name: str, taken: Collection[str]) -> str:
    """The name of an axis, with an underscore more where a measure has that name."""
    while name in taken:
        name += "_"
    return name


def own_axes(
    history: History, layer: str, measure: str
) -> list[tuple[str, np.ndarray | None, int]]:
    """(name, positions, length) of the axes that a measure has after those of steps and models;
    positions are None where nobody named the axis.
    """
    sizes = history.layers[layer][measure].shape[history.loss.ndim :]
    named = history.coordinates.get(layer, {}).get(measure, {})
    unnamed = {f"axis_{i}": None for i in range(len(named), len(sizes))}
    return [
        (name, None if positions is None else np.asarray(positions), size)
        for (name, positions), size in zip({**named, **unnamed}.items(), sizes, strict=True)
    ]


def _blocks_of_numbers(history: History) -> Iterator[Block]:
    """A block per layer and, of the steps at which no layer was measured, one without a layer."""
    of_steps = {"loss": history.loss, **history.metrics}
    numbers = {
        layer: own
        for layer, logged in history.layers.items()
        if (own := {name: x for name, x in logged.items() if x.ndim == history.loss.ndim})
    }
    axes = _models(history)
    taken = {*of_steps, *(name for own in numbers.values() for name in own)}
    measured = np.isin(history.step, history.measured)
    rows = {name: values[measured] for name, values in of_steps.items()}
    for layer, own in numbers.items():
        yield _block(history.measured, layer, axes, rows | own, taken)
    alone = ~measured
    if not numbers:
        alone = np.ones_like(measured)
    if alone.any() or not numbers:
        rows = {name: values[alone] for name, values in of_steps.items()}
        yield _block(history.step[alone], None, axes, rows, taken)


def _blocks_of_measure(history: History, measure: str) -> Iterator[Block]:
    for layer, logged in history.layers.items():
        if measure in logged:
            axes = _models(history)
            for name, positions, size in own_axes(history, layer, measure):
                axes.append((name, np.arange(size) if positions is None else positions))
            steps = history.steps_of(layer, measure)
            yield _block(steps, layer, axes, {measure: logged[measure]}, {measure})


def _models(history: History) -> list[tuple[str, np.ndarray]]:
    if history.models is None:
        return []
    return [("model", np.arange(history.models))]


def _block(
    steps: np.ndarray,
    layer: str | None,
    axes: Sequence[tuple[str, np.ndarray]],
    values: Mapping[str, np.ndarray],
    taken: Collection[str],
) -> Block:
    """A row for each step and each place on the axes."""
    each_step, *places = np.meshgrid(steps, *(x for _, x in axes), indexing="ij", copy=False)
    block = {"step": each_step.reshape(-1)}
    if layer is not None:
        block[free_name("layer", taken)] = np.full(each_step.size, layer)
    for (name, _), place in zip(axes, places, strict=True):
        block[free_name(name, {*taken, *block})] = place.reshape(-1)
    return block | {name: np.asarray(each).reshape(-1) for name, each in values.items()}


def _joined(blocks: Sequence[Block], name: str) -> np.ndarray:
    """A column of all blocks; NaN, or None, in those that do not have it."""
    parts = [block.get(name) for block in blocks]
    found = [_wide(part) for part in parts if part is not None]
    if len(found) == len(parts):
        return np.concatenate(found)
    missing = np.nan if np.issubdtype(found[0].dtype, np.floating) else None
    dtype = found[0].dtype if missing is not None else object
    return np.concatenate(
        [
            np.full(len(block["step"]), missing, dtype) if part is None else _wide(part)
            for block, part in zip(blocks, parts, strict=True)
        ]
    )


def _wide(values: np.ndarray) -> np.ndarray:
    """Half precision as float32: tables know no bfloat16."""
    if jax.dtypes.issubdtype(values.dtype, np.floating) and values.dtype.itemsize < 4:
        return values.astype(np.float32)
    return values


def _plain(values: np.ndarray) -> np.ndarray | list[Any]:
    return values.tolist() if values.dtype.kind in "OU" else values
