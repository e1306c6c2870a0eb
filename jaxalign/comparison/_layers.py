"""The layers of one side of a comparison, as matrices (n, d): of a model that runs over a stream,
or of arrays that somebody saved.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from math import prod
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.batches import require_stream
from jaxalign._core.kinds import require_choice, require_function
from jaxalign._core.mesh import for_a_model
from jaxalign._features import INPUT, Reduce, pool
from jaxalign.capture import Tap
from jaxalign.inspection import plan
from jaxalign.inspection._batches import Batch, checked
from jaxalign.inspection._masks import Mask, require_fit
from jaxalign.inspection._passes import Plans, without_padding

Matrices = dict[str, Float[np.ndarray, "n d"]]
Callback = Callable[[str, int, int], None]
"""Told (stage, done, total)."""

_ROWS_AT_ONCE = 128


class LayerShape(NamedTuple):
    """One layer.

    Attributes:
      shape: of its activation on one sample.
      width: d, columns of its matrix.
    """

    shape: tuple[int, ...]
    width: int


class LayerSource(ABC):
    """Layers of one side.

    Attributes:
      shapes: layer → LayerShape, in the order they run.
      left_out: layer → why it is not compared.
      num_samples: n.
    """

    shapes: OrderedDict[str, LayerShape]
    left_out: dict[str, str]
    num_samples: int

    @abstractmethod
    def batches(self, names: Collection[str]) -> Iterator[Matrices]:
        """The rows of some layers, batch by batch, as often as they are asked for."""

    def matrix(self, name: str) -> Float[np.ndarray, "n d"]:
        """All rows of one layer."""
        return np.concatenate([rows[name] for rows in self.batches([name])])


def in_blocks(source: LayerSource) -> Iterator[Matrices]:
    """The rows of all layers in blocks of one size, whatever the batches of the source."""
    waiting: Matrices = {}
    for rows in source.batches(source.shapes):
        if waiting:
            rows = {name: np.concatenate([waiting[name], x]) for name, x in rows.items()}
        whole = _count(rows) // _ROWS_AT_ONCE * _ROWS_AT_ONCE
        for start in range(0, whole, _ROWS_AT_ONCE):
            yield {name: x[start : start + _ROWS_AT_ONCE] for name, x in rows.items()}
        waiting = {name: x[whole:] for name, x in rows.items()}
    if waiting and _count(waiting):
        yield waiting


def _count(rows: Matrices) -> int:
    return len(next(iter(rows.values())))


class ModelLayers(LayerSource):
    """The tapped layers of a model, which runs over a stream of inputs.

    Args:
      tap: the layers, from ``tap(model, ...)``.
      state: the model's state, as the tap takes it; in evaluation mode.
      batches: of (inputs, targets), as ``inspect`` takes them, that can be read again.
      num_samples: n, their rows together.
      reduce: what becomes of the positions of maps: "mean", "flatten" or "cls".
      mask: as in ``inspect``: padded positions do not count in means, and are 0 where layers are
        flattened.

    Raises:
      TypeError: a mask that is not a function.
      ValueError: no layer that can be measured; batches as in ``inspect``; "samples", whose rows
        are not samples that two models share.
    """

    def __init__(
        self,
        tap: Tap,
        state: Any,
        batches: Iterable[tuple[Any, ...]],
        num_samples: int,
        *,
        reduce: Reduce = "mean",
        mask: Mask | None = None,
    ):
        require_stream(batches, "(inputs, targets)")
        _require_rows_are_samples(reduce)
        if mask is not None:
            require_function(mask, "mask", "pass a function of the model's arguments")
        self._tap = tap
        self._mask = mask
        self._state = for_a_model(state)
        self._batches = batches
        first = next(checked(batches, mask=mask))
        planned = plan(tap, self._state, first.arguments, reduce=reduce)
        require_fit(first.counted, planned.layers)
        self._plans = planned.layers
        # The inputs are the same for both sides.
        self._plans.pop(INPUT, None)
        self.left_out = {name: why for name, why in planned.left_out.items() if name != INPUT}
        self.shapes = OrderedDict(
            (name, LayerShape(each.shape, each.width - 1)) for name, each in self._plans.items()
        )
        self.num_samples = num_samples

    def batches(self, names: Collection[str]) -> Iterator[Matrices]:
        """The rows of some layers, batch by batch.

        Raises:
          ValueError: a layer that yields NaN or Inf.
        """
        plans = tuple((name, each) for name, each in self._plans.items() if name in names)
        size = 0
        for batch in checked(self._batches, mask=self._mask):
            size = max(size, len(batch.weights))
            yield self._rows(plans, batch, size)

    def _rows(self, plans: Plans, batch: Batch, size: int) -> Matrices:
        count = len(batch.weights)
        padded = batch.padded(size)
        pooled = _pooled(self._tap, plans, self._state, padded.arguments, padded.counted)
        rows = {name: np.asarray(pooled[name])[:count] for name, _ in plans}
        for name, values in rows.items():
            _require_finite(values, name)
        return rows


class SavedLayers(LayerSource):
    """Activations that were saved, one array (n, ...) for each layer.

    Args:
      arrays: layer → array, in order; may read an array when it is asked for one.
      shapes: layer → shape of its array.
      reduce: as in ``ModelLayers``; channels are last.
      left_out: layer → why it is not compared.

    Raises:
      ValueError: no layers; layers of different n; a layer without an array; another reduction,
        "samples" among them.
    """

    def __init__(
        self,
        arrays: Mapping[str, Any],
        shapes: Mapping[str, tuple[int, ...]],
        *,
        reduce: Reduce = "mean",
        left_out: Mapping[str, str] | None = None,
    ):
        _require_rows_are_samples(reduce)
        self.left_out = dict(left_out or {})
        if not shapes:
            reasons = "; ".join(f"{name}: {why}" for name, why in self.left_out.items())
            raise ValueError(
                f"there is no layer to compare ({reasons or 'no array'}); save an array (n, ...) "
                "of floats for each layer"
            )
        for name, shape in shapes.items():
            if len(shape) < 2:
                raise ValueError(f"layer {name} must have a shape (n, ...), found {tuple(shape)}")
        self._arrays = arrays
        self._array_shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self._reduce = reduce
        self._matrices: Matrices = {}
        first = next(iter(shapes))
        self.num_samples = shapes[first][0]
        for name, shape in shapes.items():
            if shape[0] != self.num_samples:
                raise ValueError(
                    f"all layers must be of the same rows, found {self.num_samples} rows in "
                    f"{first} and {shape[0]} in {name}; choose layers by their names"
                )
        self.shapes = OrderedDict(
            (name, LayerShape(tuple(shape[1:]), _width(shape, reduce)))
            for name, shape in shapes.items()
        )

    def batches(self, names: Collection[str]) -> Iterator[Matrices]:
        """The rows of some layers, batch by batch.

        Raises:
          ValueError: a layer that holds NaN or Inf.
        """
        matrices = {name: self.matrix(name) for name in self.shapes if name in names}
        for start in range(0, self.num_samples, _ROWS_AT_ONCE):
            yield {name: x[start : start + _ROWS_AT_ONCE] for name, x in matrices.items()}

    def matrix(self, name: str) -> Float[np.ndarray, "n d"]:
        """All rows of one layer, which are kept.

        Raises:
          ValueError: they hold NaN or Inf, or have another shape.
          TypeError: they are no array of numbers.
        """
        if name not in self._matrices:
            if name not in self._arrays:
                raise ValueError(
                    f"arrays must hold the layer {name!r} of shapes, found "
                    f"{', '.join(self._arrays)}"
                )
            array = np.asarray(as_numbers(self._arrays[name], f"layer {name}"))
            _require_shape(array.shape, self._array_shapes[name], name)
            if jnp.issubdtype(array.dtype, jnp.floating):
                _require_finite(array, name)
            if array.ndim > 2:
                # In parts, of which each may need as much memory again.
                parts = [
                    np.asarray(pool(array[start : start + _ROWS_AT_ONCE], reduce=self._reduce))
                    for start in range(0, self.num_samples, _ROWS_AT_ONCE)
                ]
                array = np.concatenate(parts)
            self._matrices[name] = array
        return self._matrices[name]


def _width(shape: tuple[int, ...], reduce: Reduce) -> int:
    return prod(shape[1:]) if reduce == "flatten" else shape[-1]


def _require_shape(shape: tuple[int, ...], expected: tuple[int, ...], name: str) -> None:
    if shape != expected:
        raise ValueError(f"layer {name} must have the shape {expected}, found {shape}")


def _require_rows_are_samples(reduce: Reduce) -> None:
    require_choice(reduce, get_args(Reduce), "reduce")
    if reduce == "samples":
        raise ValueError(
            "reduce='samples' makes rows of positions, which two models do not share; "
            "choose mean, flatten or cls"
        )


def _require_finite(rows: np.ndarray, name: str) -> None:
    finite = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"layer {name} holds NaN or Inf in {int((~finite).sum())} of {len(rows)} rows; the "
            "model diverged or its weights are damaged, or inputs are far out of its range"
        )


@partial(jax.jit, static_argnums=(0, 1))
def _pooled(
    tap: Tap,
    plans: Plans,
    state: Any,
    arguments: tuple[Any, ...],
    counted: Bool[Array, "n t"] | None,
) -> dict[str, Array]:
    _, activations = tap(state, *arguments)
    rows = {}
    for name, way in plans:
        values, mean_mask = without_padding(activations[name], way.reduce, counted)
        rows[name] = jnp.asarray(pool(values, reduce=way.reduce, mask=mean_mask))
    return rows
