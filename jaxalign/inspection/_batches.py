"""Batches of a stream: checked before the model sees them, padded to one number of rows."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from jaxalign._core.batches import each_batch
from jaxalign._core.checks import (
    as_program_array,
    as_real_floats,
    as_target_matrix,
    require_finite,
)
from jaxalign._features import encode_targets
from jaxalign.inspection._masks import Mask, mask_of
from jaxalign.inspection._plan import as_arguments, shape_of

PAIR = "(inputs, targets)"


class Batch(NamedTuple):
    """One checked batch: arguments of the model, Y (n, k), weights (n,), and perhaps which
    positions count.
    """

    arguments: tuple[Any, ...]
    targets: Float[Array, "n k"] | Float[np.ndarray, "n k"]
    weights: Float[np.ndarray, " n"]
    counted: Bool[Array, "n t"] | None = None

    @property
    def form(self) -> list:
        """What all batches of a stream share: everything but the number of rows."""
        arguments = [(shape_of(x)[1:], str(jnp.result_type(x))) for x in self.arguments]
        positions = [] if self.counted is None else [self.counted.shape[1]]
        return [*arguments, np.shape(self.targets)[1:], *positions]

    def padded(self, num_rows: int) -> "Batch":
        """The batch with copies of its first row, of weight 0, up to a number of rows."""
        missing = num_rows - len(self.weights)
        if missing <= 0:
            return self

        def pad(x):
            # Copies of a row stay valid for the model: a token id or a pixel, never out of range.
            return np.concatenate([np.asarray(x), np.repeat(np.asarray(x[:1]), missing, axis=0)])

        weights = np.concatenate([self.weights, np.zeros(missing, self.weights.dtype)])
        counted = None if self.counted is None else pad(self.counted)
        return Batch(tuple(map(pad, self.arguments)), pad(self.targets), weights, counted)


class TargetRange(NamedTuple):
    """What decides whether targets are centred by default, over the batches seen so far.

    Attributes:
      coded: all are ±1, as ``encode_targets`` makes them of classes.
      lowest: (k,) of each column.
      highest: (k,) of each column.
    """

    coded: bool
    lowest: Float[np.ndarray, " k"]
    highest: Float[np.ndarray, " k"]

    @property
    def constant(self) -> bool:
        """Whether no column has two different values."""
        return bool((self.lowest >= self.highest).all())

    def merged(self, batch: Batch) -> "TargetRange":
        """The range with one batch more; rows of weight 0 do not count."""
        targets = np.asarray(batch.targets)[batch.weights > 0]
        coded = self.coded and bool((abs(targets) == 1).all())
        lowest = targets.min(axis=0, initial=np.inf)
        highest = targets.max(axis=0, initial=-np.inf)
        return TargetRange(
            coded, np.minimum(self.lowest, lowest), np.maximum(self.highest, highest)
        )


NO_TARGETS = TargetRange(True, np.array(np.inf), np.array(-np.inf))
"""The range before the first batch."""


class Reading(NamedTuple):
    """How the batches of a stream are read.

    Attributes:
      keys: of inputs and targets, and perhaps weights, in batches that are dicts.
      classes: of labels that stand in place of targets; None for targets.
    """

    keys: Sequence[str]
    classes: Sequence[Any] | None


AS_GIVEN = Reading(("image", "label"), None)
"""Targets, by the usual names where batches are dicts."""


def checked(
    batches: Iterable[Any], reading: Reading = AS_GIVEN, mask: Mask | None = None
) -> Iterator[Batch]:
    """The batches of (inputs, targets) or (inputs, targets, weights), each checked, with its mask.

    Raises:
      ValueError: a bad batch; the message names its position.
      TypeError: likewise.
    """
    form = None
    # The position goes into the message: a stream of a thousand batches has no other name for one.
    for position, arrays in enumerate(each_batch(batches, PAIR, reading.keys)):
        try:
            batch = _as_batch(*_encoded(arrays, reading.classes))
            if mask is not None:
                counted = mask_of(mask, batch.arguments, batch.weights)
                batch = batch._replace(counted=counted)
        except (ValueError, TypeError) as error:
            raise type(error)(f"batch {position}: {error}") from None
        form = form or batch.form
        if batch.form != form:
            raise ValueError(
                f"batch {position}: rows must have the shape and dtype of those before, {form}, "
                f"found {batch.form}"
            )
        yield batch


def _encoded(arrays: tuple[Any, ...], classes: Sequence[Any] | None) -> tuple[Any, ...]:
    """The arrays with labels as targets."""
    if classes is None:
        return arrays
    inputs, labels, *weights = arrays
    return (inputs, encode_targets(labels, classes=classes), *weights)


def _as_batch(inputs: Any, targets: ArrayLike, weights: ArrayLike | None = None) -> Batch:
    arguments = tuple(x if hasattr(x, "shape") else np.asarray(x) for x in as_arguments(inputs))
    y = as_target_matrix(as_program_array(targets, "targets"))
    num_rows = shape_of(arguments[0])[0]
    w = _as_weights(weights, num_rows)
    if len(y) != num_rows or w.shape != (num_rows,):
        raise ValueError(
            "inputs, targets and weights must have as many rows, found "
            f"{num_rows}, {len(y)} and {w.shape}"
        )
    if not np.isfinite(w).all() or (w < 0).any():
        raise ValueError(
            f"weights must be finite and not negative, found values from {w.min()} to {w.max()}"
        )
    for x in arguments:
        _require_finite_rows(x, w > 0, "inputs")
    _require_finite_rows(y, w > 0, "targets")
    return Batch(arguments, y, w)


def _as_weights(weights: ArrayLike | None, num_rows: int) -> np.ndarray:
    if weights is None:
        return np.ones(num_rows, np.float32)
    return np.asarray(as_real_floats(weights, "weights"), np.float32)


def _require_finite_rows(x: ArrayLike, counted: np.ndarray, name: str) -> None:
    """Raise if a row that counts holds NaN or Inf; the others are padding."""
    if not jnp.issubdtype(jnp.result_type(x), jnp.floating):
        return
    values = jnp.asarray(x)
    if not counted.all():
        values = values[counted]
    require_finite(values, name)
