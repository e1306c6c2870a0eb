"""Where else rows can go: a protocol of two methods, and the dashboards that researchers have open
anyway.
"""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from jaxalign.runs._history import History


class Writer(Protocol):
    """Takes a run as it comes: ``fit(..., callback=writer.write)``, then ``finish``. ``RunWriter``
    is one.
    """

    def write(self, part: History) -> None:
        """Take the rows of one chunk."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """Take how the run ended."""


class TensorBoardWriter:
    """Rows as TensorBoard scalars: loss and metrics; where measured, "area/LAYER" and
    "alignment_τ/LAYER", over ‖y‖².

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
            raise ModuleNotFoundError("TensorBoardWriter needs tensorboardX; pip install tensorboardX")
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
        self._writer.add_text("result", "\n".join(f"    {name}: {value}" for name, value in result.items()))
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


def scalars(part: History) -> Iterator[tuple[int, dict[str, float]]]:
    """(step, {name: value}) of every row."""
    if part.models is None:
        yield from _scalars_of_one(part)
        return
    for rows in zip(*(_scalars_of_one(part.of(i)) for i in range(part.models)), strict=True):
        yield rows[0][0], {f"{name}/model_{i}": value for i, (_, row) in enumerate(rows) for name, value in row.items()}


def _scalars_of_one(part: History) -> Iterator[tuple[int, dict[str, float]]]:
    place = {int(step): i for i, step in enumerate(part.measured)}
    for t, step in enumerate(part.step.tolist()):
        values = {"loss": float(part.loss[t])} | {name: float(held[t]) for name, held in part.metrics.items()}
        if step in place:
            for layer, record in part.layers.items():
                values[f"area/{layer}"] = float(record.area[place[step]] / part.total)
                for tau, share in zip(part.thresholds, record.alignment[place[step]] / part.total, strict=True):
                    values[f"alignment_{tau:g}/{layer}"] = float(share)
        yield step, values
