"""What a training run logged: one row a step, row t about the parameters after t updates."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxalign.training.record import Record


class History(NamedTuple):
    """Arrays over steps. ``step[0]`` is 0: the untrained network.

    Attributes:
      step: (t,) how many updates the parameters had seen.
      measured: (r,) the steps whose parameters were measured: all, or every k-th.
      loss: (t,) on the batch of the next update, before it.
      metrics: name → (t,), on that batch too.
      layers: layer → Record of arrays with a leading axis of r, on the probe set; "input" first, then as they run.
      thresholds: (m,) τ of ``Record.alignment``.
      grid: (g,) τ of ``Record.curve`` and ``Record.null``.
      total: ‖y‖² of the probe's targets (mean over columns): what A(τ) can reach.
    """

    step: np.ndarray
    measured: np.ndarray
    loss: np.ndarray
    metrics: dict[str, np.ndarray]
    layers: OrderedDict[str, Record]
    thresholds: np.ndarray
    grid: np.ndarray
    total: float


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
