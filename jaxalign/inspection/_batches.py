"""Batches of a stream: checked before the model sees them, short ones filled up."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxalign._core.checks import as_target_matrix, require_finite
from jaxalign.inspection._plan import as_arguments, shape_of


class Batch(NamedTuple):
    """One checked batch: arguments of the model, Y (n, k) and weights (n,)."""

    arguments: tuple[Any, ...]
    targets: ArrayLike
    weights: np.ndarray

    @property
    def form(self) -> list:
        """What all batches of a stream share: everything but the number of rows."""
        return [
            *((shape_of(x)[1:], str(jnp.result_type(x))) for x in self.arguments),
            np.shape(self.targets)[1:],
        ]

    def padded(self, rows: int) -> "Batch":
        """The batch with copies of its first row, of weight 0, up to a number of rows."""
        more = rows - len(self.weights)
        if more <= 0:
            return self

        def repeat(x):
            return np.concatenate([np.asarray(x), np.repeat(np.asarray(x[:1]), more, axis=0)])

        weights = np.concatenate([self.weights, np.zeros(more, self.weights.dtype)])
        return Batch(tuple(map(repeat, self.arguments)), repeat(self.targets), weights)


def checked(batches: Iterable[tuple[Any, ...]]) -> Iterator[Batch]:
    """The batches of (inputs, targets) or (inputs, targets, weights), each checked; raises naming
    the position of a bad one.
    """
    form = None
    for position, batch in enumerate(batches):
        try:
            made = _as_batch(*batch)
        except (ValueError, TypeError) as error:
            raise type(error)(f"batch {position}: {error}") from None
        form = form or made.form
        if made.form != form:
            raise ValueError(
                f"batch {position}: rows must have the shape and dtype of those before, {form}, found {made.form}"
            )
        yield made


def _as_batch(inputs: Any, targets: ArrayLike, weights: ArrayLike | None = None) -> Batch:
    arguments = tuple(x if hasattr(x, "shape") else np.asarray(x) for x in as_arguments(inputs))
    y = as_target_matrix(targets)
    rows = shape_of(arguments[0])[0]
    w = np.ones(rows, np.float32) if weights is None else np.asarray(weights, np.float32)
    if len(y) != rows or w.shape != (rows,):
        raise ValueError(
            f"inputs, targets and weights must have as many rows, found {rows}, {len(y)} and {w.shape}"
        )
    if not np.isfinite(w).all() or (w < 0).any():
        raise ValueError(
            f"weights must be finite and not negative, found values from {w.min()} to {w.max()}"
        )
    counted = w > 0
    for x in (*arguments, y):
        if jnp.issubdtype(jnp.result_type(x), jnp.floating):
            require_finite(
                jnp.asarray(x) if counted.all() else jnp.asarray(x)[counted],
                "targets" if x is y else "inputs",
            )
    return Batch(arguments, y, w)
