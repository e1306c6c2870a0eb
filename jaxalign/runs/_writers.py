"""Where else rows can go: a protocol of two methods, and the dashboards that researchers have open
anyway.
"""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jaxalign.runs._history import IN_SHARES, History

FEW = 16
"""Entries of an array up to which each is a scalar of its own."""


class Writer(Protocol):
    """Takes a run as it comes: ``fit(..., callback=writer.write)``, then ``finish``. ``RunWriter``
    is one.
    """

    def write(self, part: History) -> None:
        """Take the rows of one chunk."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """Take how the run ended."""


class TensorBoardWriter:
    """Rows as TensorBoard scalars: loss and metrics; where measured, "MEASURE/LAYER".

    Area and alignment are over ‖y‖². Of an array of a few numbers with a named axis each is a
    scalar, as "alignment_τ/LAYER"; longer ones, as whole curves, are left to the run folder.

    Of several models trained at once, each has its own scalars, whose names end in "/model_0",
    "/model_1", ...

    Args:
      folder: the log directory, made when needed.

    Raises:
      ModuleNotFoundError: tensorboardX is not installed.

    Source: ours, on tensorboardX.
    """

    def __init__(self, folder: str | Path):
        if find_spec("tensorboardX") is None:
            raise ModuleNotFoundError(
                "TensorBoardWriter needs tensorboardX; pip install tensorboardX"
            )
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def write(self, part: History) -> None:
        """Write the rows of one chunk, and flush them."""
        for step, values in scalars(part):
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result as text, and close the files."""
        self._writer.add_text(
            "result", "\n".join(f"    {name}: {value}" for name, value in result.items())
        )
        self._writer.close()


class WandbWriter:
    """Rows to a Weights & Biases run, under the names that ``TensorBoardWriter`` uses; the result
    to its summary.

    Args:
      run: what ``wandb.init(...)`` returned, which stays its caller's to finish.

    Source: ours.
    """

    def __init__(self, run: Any):
        self._run = run

    def write(self, part: History) -> None:
        """Log the rows of one chunk."""
        for step, values in scalars(part):
            self._run.log(values, step=step)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Update the run's summary."""
        self._run.summary.update(dict(result))


class TrackioWriter:
    """Rows to a trackio run, under the names that ``TensorBoardWriter`` uses; the result as
    "result/...".

    Args:
      run: what ``trackio.init(...)`` returned, which stays its caller's to finish.

    Source: ours.
    """

    def __init__(self, run: Any):
        self._run = run

    def write(self, part: History) -> None:
        """Log the rows of one chunk."""
        for step, values in scalars(part):
            self._run.log(values, step=step)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Log the result."""
        self._run.log({f"result/{name}": value for name, value in result.items()})


class MetricWriter:
    """Rows to a writer of CLU's kind, under the names that ``TensorBoardWriter`` uses; the result
    as text.

    Args:
      writer: what ``clu.metric_writers.create_default_writer(...)`` returned, or anything with
        ``write_scalars(step, scalars)``, ``write_texts(step, texts)`` and ``flush()``; it stays its
        caller's to close.

    Source: ours.
    """

    def __init__(self, writer: Any):
        self._writer = writer
        self._step = 0

    def write(self, part: History) -> None:
        """Write the rows of one chunk, and flush them."""
        for step, values in scalars(part):
            self._writer.write_scalars(step, values)
            self._step = step
        self._writer.flush()

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result as text."""
        texts = {f"result/{name}": str(value) for name, value in result.items()}
        self._writer.write_texts(self._step, texts)
        self._writer.flush()


def scalars(part: History) -> Iterator[tuple[int, dict[str, float]]]:
    """(step, {name: value}) of every row."""
    if part.models is None:
        yield from _scalars_of_one(part)
        return
    for rows in zip(*(_scalars_of_one(part.of(i)) for i in range(part.models)), strict=True):
        values = {
            f"{name}/model_{i}": value
            for i, (_, row) in enumerate(rows)
            for name, value in row.items()
        }
        yield rows[0][0], values


def _scalars_of_one(part: History) -> Iterator[tuple[int, dict[str, float]]]:
    for t, step in enumerate(part.step.tolist()):
        values = {"loss": float(part.loss[t])}
        values |= {name: float(metric[t]) for name, metric in part.metrics.items()}
        for layer, logged in part.layers.items():
            for name, array in logged.items():
                place = np.flatnonzero(part.steps_of(layer, name) == step)
                if len(place):
                    values |= _scalars_of_measure(part, layer, name, array[place[0]])
        yield step, values


def _scalars_of_measure(
    part: History, layer: str, name: str, value: np.ndarray
) -> dict[str, float]:
    """One number, or a few along one named axis; none of other arrays."""
    unit = part.totals[layer] if name in IN_SHARES else 1.0
    axes = part.coordinates.get(layer, {}).get(name, {})
    if value.ndim == 0:
        return {f"{name}/{layer}": float(value / unit)}
    if value.ndim > 1 or len(axes) != 1 or value.size > FEW:
        return {}
    ((_, positions),) = axes.items()
    return {
        f"{name}_{_label(position)}/{layer}": float(entry / unit)
        for position, entry in zip(positions, value, strict=True)
    }


def _label(position: np.generic) -> str:
    """A value of an axis in a name: 0.3, 2, or a word."""
    if np.issubdtype(position.dtype, np.floating):
        return f"{position:g}"
    return str(position)
