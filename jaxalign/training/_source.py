"""Where the batches of a run come from, arrays in memory or a stream, as blocks of a chunk each."""

from collections.abc import Callable, Generator
from typing import Any, NamedTuple, Protocol

import numpy as np
from jax import Array, ShapeDtypeStruct

from jaxalign.training._reader import Position
from jaxalign.training._schedule import Schedule

LabelCheck = Callable[[Array | np.ndarray], Array | np.ndarray]
"""Labels → the same as the objective takes them; or an error."""


class Block(NamedTuple):
    """The batches of a chunk: m times ``every`` of b samples.

    Attributes:
      samples: of arrays in memory (m, every, b) row numbers, for several models that see other
        batches each with a first axis of models; of a stream the pair of inputs and labels,
        (m, every, b, ...).
      position: where the stream stands after the chunk; None if that is nothing to save.
    """

    samples: Any
    position: Position | None = None


def described(inputs: Array | np.ndarray, labels: Array | np.ndarray) -> str:
    """Shapes and dtypes in words."""
    return f"inputs {inputs.dtype} {inputs.shape}, labels {labels.dtype} {labels.shape}"


class Source(Protocol):
    """Where batches come from."""

    @property
    def batch_size(self) -> int:
        """b, the rows of a batch."""

    @property
    def parts(self) -> int:
        """From how many processes the rows of a batch come; 1 where each process reads all."""

    @property
    def description(self) -> str:
        """Shapes and dtypes, for messages."""

    @property
    def batch_inputs(self) -> ShapeDtypeStruct:
        """What the inputs of a batch are in a program."""

    @property
    def batch_labels(self) -> ShapeDtypeStruct:
        """What the labels of a batch are in a program, once they are ``checked``."""

    @property
    def arrays(self) -> tuple[Array | np.ndarray | None, Array | np.ndarray | None]:
        """All inputs and labels; None of a stream."""

    @property
    def first_batch(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Inputs and labels of a stream's first batch; None of arrays."""

    @property
    def most_steps(self) -> int | None:
        """How many batches a block may hold; None for any number."""

    def checked(self, check: LabelCheck) -> "Source":
        """The same with labels as the objective takes them."""

    def blocks(
        self, plan: Schedule, step: int, position: Position | None
    ) -> Generator[Block, None, None]:
        """The blocks of all chunks from a step on, where the stream stood at a position."""
