"""A progress bar for ``fit``, for whoever wants one: nothing is shown unless it is asked for."""

import math
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import TextColumn

from jaxalign._core.kinds import as_count
from jaxalign._core.progress import progress_bar
from jaxalign.runs import History


class ProgressBar:
    """Shows how far ``fit`` has come, and the loss: ``fit(..., steps=n, callback=ProgressBar(n))``.

    It moves with each chunk. In a terminal or a notebook it is a bar with the time left; elsewhere
    one line when the run ends. Used in a ``with`` statement it also ends where the run ends early,
    by an error or by a callback.

    Args:
      steps: as ``fit`` is given them.
      callback: what else to call with each chunk, as ``RunWriter(folder, config).write``; what it
        returns goes on to ``fit``.
      console: where to; by default standard output.

    Raises:
      ValueError: steps below 1.
      TypeError: steps that are not a whole number.

    Example:
      >>> import numpy as np
      >>> import optax
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.models import MLP
      >>> from jaxalign.training import ProgressBar
      >>> x = np.random.default_rng(0).standard_normal((64, 6)).astype(np.float32)
      >>> labels = (x[:, 0] > 0).astype(int)
      >>> model = MLP(6, (8,), 1, rngs=nnx.Rngs(0))
      >>> with ProgressBar(50) as bar:
      ...     state, history = ja.fit(model, optax.sgd(0.1), x, labels, steps=50, callback=bar)
      step ...50/50...loss 0...

    Source: ours, on rich.
    """

    def __init__(
        self,
        steps: int,
        *,
        callback: Callable[[History], Any] | None = None,
        console: Console | None = None,
    ):
        self._steps = as_count(steps, "steps")
        self._callback = callback
        loss = TextColumn("loss {task.fields[loss]}", markup=False)
        self._bar = progress_bar(console, loss, width=24)
        self._task = self._bar.add_task("step", total=self._steps, loss="…")

    def __enter__(self) -> "ProgressBar":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, part: History) -> Any:
        """Show the last row of a chunk; returns what the other callback returns."""
        self._bar.start()
        step = int(part.step[-1])
        self._bar.update(self._task, completed=step, loss=_text(median(part.loss[-1])))
        if step >= self._steps:
            self._bar.stop()
        if self._callback is not None:
            return self._callback(part)
        return None


def _text(loss: float) -> str:
    return "NaN" if math.isnan(loss) else f"{loss:.4g}"


def median(values: np.ndarray) -> float:
    """Over the models that did not diverge; NaN if all of them did."""
    values = np.ravel(values)
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
