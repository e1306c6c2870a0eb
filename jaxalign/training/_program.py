"""The compiled chunk with all that it takes beside the state and the batches."""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxalign.training._chunk import Run
from jaxalign.training._schedule import Schedule
from jaxalign.training._source import Block
from jaxalign.training._state import Data, PerModel, TrainState


class Program(NamedTuple):
    """Runs chunks, and measures in those where it is due.

    Attributes:
      run: of ``compiled``.
      per_model: what each model has of its own.
      data: what stays the same.
      plan: which steps are measured.
    """

    run: Run
    per_model: PerModel
    data: Data
    plan: Schedule

    def __call__(
        self, step: int, state: TrainState, block: Block
    ) -> tuple[TrainState, tuple[Any, Any]]:
        """The chunk that begins at a step: ``(state, (rows, logged))``, while the device works."""
        if self.plan.is_measured(step):
            return self.run(state, block.samples, self.per_model, self.data)
        shapes = jax.eval_shape(self.run, state, block.samples, self.per_model, self.data)
        unmeasured = self.data._replace(monitors={})
        state, (rows, _) = self.run(state, block.samples, self.per_model, unmeasured)
        return state, (rows, jax.tree.map(_none_of, shapes[1][1]))


def _none_of(logged: jax.ShapeDtypeStruct) -> np.ndarray:
    return np.empty((0, *logged.shape[1:]), logged.dtype)
