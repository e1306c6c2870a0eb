"""Where the batches of a run come from, as blocks of a chunk each."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from jax import Array, ShapeDtypeStruct

from jaxalign.training._schedule import Schedule

LabelCheck = Callable[[Array | np.ndarray], Array | np.ndarray]
"""Labels → the same as the objective takes them; or an error."""


class Block(NamedTuple):
    """The batches of a chunk: m times ``every`` of b samples.

    Attributes:
      samples: (m, every, b) row numbers of arrays in memory; of several models that see other
        batches each with a first axis of models.
    """

    samples: Any


class Source(Protocol):
    """Where batches come from: arrays in memory."""

    @property
    def batch_size(self) -> int:
        """b, the rows of a batch."""

    @property
    def batch(self) -> tuple[ShapeDtypeStruct, ShapeDtypeStruct]:
        """What inputs and labels of a batch are in a program."""

    @property
    def arrays(self) -> tuple[Array | np.ndarray, Array | np.ndarray]:
        """All inputs and labels."""

    def checked(self, check: LabelCheck) -> "Source":
        """The same with labels as the objective takes them."""

    def blocks(self, plan: Schedule, step: int) -> Iterator[Block]:
        """The blocks of all chunks from a step on."""
