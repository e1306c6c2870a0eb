"""Where else rows can go: a protocol of two methods, and the dashboards that researchers have open
anyway.
"""

import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jaxalign._core.naming import free_name, value_names
from jaxalign.runs._history import IN_SHARES, History

FEW = 16
"""Entries of an array up to which each is a scalar of its own."""

LONGEST = 250
"""So many characters of a name MLflow takes."""


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
        from tensorboardX import FileWriter

        # Not SummaryWriter, which writes "_" for characters that TensorBoard takes: layers of
        # different names would be one curve.
        self._writer = FileWriter(str(folder))

    def write(self, part: History) -> None:
        """Write the rows of one chunk, and flush them."""
        from tensorboardX.proto.summary_pb2 import Summary

        for step, values in scalars(part):
            entries = [Summary.Value(tag=name, simple_value=x) for name, x in values.items()]
            self._writer.add_summary(Summary(value=entries), step)
        self._writer.flush()

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result as text, and close the files."""
        from tensorboardX.summary import text

        lines = (f"    {name}: {value}" for name, value in result.items())
        self._writer.add_summary(text("result", "\n".join(lines)))
        self._writer.close()


class _LoggedRun:
    """Rows to a run whose ``log(values, step=)`` takes them."""

    def __init__(self, run: Any):
        self._run = run

    def write(self, part: History) -> None:
        """Log the rows of one chunk."""
        for step, values in scalars(part):
            self._run.log(values, step=step)


class WandbWriter(_LoggedRun):
    """Rows to a Weights & Biases run, under the names that ``TensorBoardWriter`` uses; the result
    to its summary.

    Args:
      run: what ``wandb.init(...)`` returned, which stays its caller's to finish.

    Source: ours.
    """

    def finish(self, result: Mapping[str, Any]) -> None:
        """Update the run's summary."""
        self._run.summary.update(dict(result))


class TrackioWriter(_LoggedRun):
    """Rows to a trackio run, under the names that ``TensorBoardWriter`` uses; the result as
    "result/...".

    Args:
      run: what ``trackio.init(...)`` returned, which stays its caller's to finish.

    Source: ours.
    """

    def finish(self, result: Mapping[str, Any]) -> None:
        """Log the result."""
        self._run.log({f"result/{name}": value for name, value in result.items()})


class MLflowWriter:
    """Rows to the active MLflow run, under the names that ``TensorBoardWriter`` uses; the result
    as tags "result/...".

    MLflow allows letters, digits, spaces and ``_ - . / :`` in names. Another character is written
    as its code between colons: "layer#2" is "layer:23:2". Of a name over 250 characters the
    beginning is written, with the first digits of its SHA-256.

    Args:
      mlflow: the module, or anything with ``log_metrics(metrics, step=)`` and ``set_tags(tags)``.
        The run, ``with mlflow.start_run(): ...``, stays its caller's.

    Source: ours.
    """

    def __init__(self, mlflow: Any):
        self._mlflow = mlflow

    def write(self, part: History) -> None:
        """Log the rows of one chunk."""
        for step, values in scalars(part):
            named = {_mlflow_name(name): value for name, value in values.items()}
            self._mlflow.log_metrics(named, step=step)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Set the tags of the run."""
        self._mlflow.set_tags({f"result/{name}": str(value) for name, value in result.items()})


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
        _add(values, {name: float(metric[t]) for name, metric in part.metrics.items()})
        for layer, logged in part.layers.items():
            for name, array in logged.items():
                place = np.flatnonzero(part.steps_of(layer, name) == step)
                if len(place):
                    _add(values, _scalars_of_measure(part, layer, name, array[place[0]]))
        yield step, values


def _add(values: dict[str, float], further: Mapping[str, float]) -> None:
    """Add values under their names; one whose name is taken, as of a measure "a/b" of the layer "c"
    beside "a" of "b/c", is called "NAME~2". Rows have one order, so it is called so in each.
    """
    for name, value in further.items():
        values[free_name(name, values.__contains__)] = value


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
        f"{name}_{label}/{layer}": float(entry / unit)
        for label, entry in zip(value_names(positions), value, strict=True)
    }


def _mlflow_name(name: str) -> str:
    """A name as MLflow allows it; different names stay different."""
    escaped = r"[^\w./ -]"
    # MLflow takes names for paths, which must not be written in two ways.
    if posixpath.normpath(name) != name or name.startswith(("/", "..")) or name == ".":
        escaped = r"[^\w -]"
    written = re.sub(escaped, lambda found: f":{ord(found[0]):x}:", name)
    if len(written) > LONGEST:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        # Digits between colons alone are the code of a character; these are at an end.
        written = f"{written[: LONGEST - len(digest) - 1]}:{digest}"
    return written
