"""What a training run logged: one row a step, row t about the parameters after t updates."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxalign.monitoring import Record


class History(NamedTuple):
    """Arrays over steps. ``step[0]`` is 0: the untrained network. Of several models trained at
    once, loss, metrics and records have an axis of s models after that of the steps.

    Attributes:
      step: (t,) how many updates the parameters had seen.
      measured: (r,) the steps whose parameters were measured: all, or every k-th.
      loss: (t,) on the batch of the next update, before it.
      metrics: name → (t,), on that batch too.
      layers: layer → Record of arrays with a leading axis of r, on the monitored set; "input" first,
        then as they run.
      thresholds: (m,) τ of ``Record.alignment``.
      grid: (g,) τ of ``Record.curve`` and ``Record.null``.
      total: ‖y‖² of the monitor's targets (mean over columns): what A(τ) can reach.
    """

    step: np.ndarray
    measured: np.ndarray
    loss: np.ndarray
    metrics: dict[str, np.ndarray]
    layers: OrderedDict[str, Record]
    thresholds: np.ndarray
    grid: np.ndarray
    total: float

    @property
    def models(self) -> int | None:
        """How many models were trained at once; None for one by itself, whose arrays have no axis
        of models.
        """
        return self.loss.shape[1] if self.loss.ndim == 2 else None

    def map(self, change: Callable[[np.ndarray], np.ndarray]) -> "History":
        """The history with loss, every metric and every array of the records changed: what has an
        axis of models.
        """
        loss, metrics, layers = jax.tree.map(change, (self.loss, self.metrics, self.layers))
        return self._replace(loss=loss, metrics=metrics, layers=layers)

    def of(self, model: int | Sequence[int]) -> "History":
        """The history of one of several models, or of some of them.

        Example:
          >>> import numpy as np
          >>> steps, nothing = np.arange(3), np.empty(0)
          >>> both = History(steps, nothing, np.ones((3, 2)), {}, OrderedDict(), nothing, nothing, 0.0)
          >>> both.models, both.of(1).loss.shape, both.of([0]).loss.shape
          (2, (3,), (3, 1))
        """
        return self.map(lambda x: x[:, model])


def concatenate(parts: Sequence[History]) -> History:
    """One history of consecutive parts of a run."""
    first = parts[0]
    return first._replace(
        step=np.concatenate([p.step for p in parts]),
        measured=np.concatenate([p.measured for p in parts]),
        loss=np.concatenate([p.loss for p in parts]),
        metrics={name: np.concatenate([p.metrics[name] for p in parts]) for name in first.metrics},
        layers=OrderedDict(
            (name, Record(*map(np.concatenate, zip(*(p.layers[name] for p in parts), strict=True)))) for name in first.layers
        ),
    )
