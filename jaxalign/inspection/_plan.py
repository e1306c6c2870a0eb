"""What each layer will be before anything is computed: its shape, the width d of its matrix, the
memory of its sums.
"""

import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from math import prod
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign._features import INPUT, Reduce, WidthWarning, prepare
from jaxalign.capture import Tap

Reductions = Reduce | Mapping[str, Reduce]

INPUT_WIDTH = 4096
"""Inputs of more values than that are no layer of their own: their d × d eigenproblem would outlast
the network's.
"""


class LayerPlan(NamedTuple):
    """How one layer becomes a matrix.

    Attributes:
      shape: of its activation on one sample.
      dtype: of its activation.
      reduce: what becomes of the axes between samples and features, as in ``prepare``.
      positions: rows of the matrix a sample, 1 unless ``reduce`` is "samples".
      width: d, columns of the matrix, the bias among them.
    """

    shape: tuple[int, ...]
    dtype: str
    reduce: Reduce
    positions: int
    width: int

    def memory(self, targets: int) -> int:
        """Bytes that the layer's moments take for k targets: 8 (d + 2)(d + 1 + k)."""
        return 8 * (self.width + 2) * (self.width + 1 + targets)


class Plan(NamedTuple):
    """The layers to measure, in the order they run, and those left out.

    Attributes:
      layers: name → LayerPlan; "input" first, if it is measured.
      left_out: name → why it is not.
    """

    layers: OrderedDict[str, LayerPlan]
    left_out: dict[str, str]


def plan(tap: Tap, state: Any, inputs: Any, *, reduce: Reductions = "mean") -> Plan:
    """Every tapped layer's shape and width d, from the shapes of a batch alone (``jax.eval_shape``:
    nothing is computed).

    Args:
      tap: the layers, from ``tap(model, ...)``.
      state: the model's state, arrays or shapes of arrays.
      inputs: (n, ...) a batch of inputs or its shape, or a tuple of several arguments of n rows
        each.
      reduce: what becomes of the positions of a map, as in ``prepare``; or {glob pattern:
        reduction}, of which the first that fits a layer holds, with "mean" for the others. A layer
        (n, d) stays as it is. The inputs themselves are the layer "input", flattened unless that
        very name is among the patterns.

    Returns:
      Plan. Left out are layers that give no real floating-point array of n rows, and inputs of more
      than 4096 values.

    Raises:
      ValueError: no layer is left; an unknown reduction; a pattern that fits no layer.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.inspection import plan
      >>> model = nnx.Sequential(nnx.Conv(3, 16, (3, 3), rngs=nnx.Rngs(0)), nnx.relu)
      >>> found = plan(ja.tap(model), nnx.state(model), jnp.ones((5, 8, 8, 3)))
      >>> {name: (layer.shape, layer.width) for name, layer in found.layers.items()}
      {'input': ((8, 8, 3), 193), 'layers.0': ((8, 8, 16), 17)}

    Source: ours.
    """
    _require_reductions(reduce)
    arguments = as_arguments(inputs)
    _, activations = jax.eval_shape(tap, state, *arguments)
    rows = shape_of(arguments[0])[0]
    layers: OrderedDict[str, LayerPlan] = OrderedDict()
    left_out: dict[str, str] = {}
    for name, value in with_inputs(arguments, activations).items():
        if reason := _unfit(value, rows):
            left_out[name] = reason
            continue
        layer = _planned(value, reduction_of(name, reduce))
        if name == INPUT and layer.width > INPUT_WIDTH + 1:
            left_out[name] = f"{layer.width - 1:,} values a sample, more than {INPUT_WIDTH:,}"
        else:
            layers[name] = layer
    if not any(name != INPUT for name in layers):
        reasons = (
            "; ".join(f"{name}: {reason}" for name, reason in left_out.items()) or "none was tapped"
        )
        raise ValueError(
            f"no layer of the model can be measured ({reasons}); tap layers that return (n, ...) floats"
        )
    _require_patterns_used(reduce, [*layers, *left_out])
    return Plan(layers, left_out)


def as_arguments(inputs: Any) -> tuple[Any, ...]:
    """The arguments of one call of the model: an array alone, or a tuple as it is; raises unless
    all have n ≥ 1 rows.
    """
    arguments = tuple(inputs) if isinstance(inputs, tuple) else (inputs,)
    shapes = [shape_of(x) for x in arguments]
    if (
        not shapes
        or any(not shape or shape[0] == 0 for shape in shapes)
        or len({shape[0] for shape in shapes}) > 1
    ):
        raise ValueError(f"inputs must be arrays (n, ...) of the same n ≥ 1, found shapes {shapes}")
    return arguments


def reduction_of(name: str, reduce: Reductions) -> Reduce:
    """The reduction of a layer: the first pattern that fits, "mean" where none does; inputs are
    flattened.
    """
    if isinstance(reduce, str):
        return "flatten" if name == INPUT else reduce
    default: Reduce = "flatten" if name == INPUT else "mean"

    def fits(pattern):
        return pattern == INPUT if name == INPUT else fnmatchcase(name, pattern)

    return next((way for pattern, way in reduce.items() if fits(pattern)), default)


def with_inputs(
    arguments: tuple[Any, ...], activations: Mapping[str, Any]
) -> OrderedDict[str, Any]:
    """The activations after the inputs, which are a layer too if there is one argument and no layer
    of their name.
    """
    inputs = {INPUT: arguments[0]} if len(arguments) == 1 and INPUT not in activations else {}
    return OrderedDict([*inputs.items(), *activations.items()])


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array, of a shape, or of nested lists."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def require_memory(layers: Mapping[str, LayerPlan], targets: int, copies: int, limit: int) -> None:
    """Raise if the moments of all layers, or so many copies of them, exceed a limit in bytes; says
    what would help.
    """
    need = {name: copies * layer.memory(targets) for name, layer in layers.items()}
    if (total := sum(need.values())) <= limit:
        return
    largest = max(need, key=need.__getitem__)
    layer = layers[largest]
    inner = prod(layer.shape) if layer.reduce == "flatten" and len(layer.shape) > 1 else 0
    ways = [
        f"reduce={{{largest!r}: 'mean'}} for d = {layer.shape[-1] + 1:,}" if inner else "",
        "fewer layers in the tap",
        f"a memory_limit of {total} bytes",
        "on fewer samples than features, spectrum(features, targets), which needs n × n",
    ]
    raise ValueError(
        f"the sums of {len(need)} layers would take {readable(total)}, over the memory_limit of {readable(limit)}; "
        f"the largest is {largest}, of d = {layer.width:,}: {readable(need[largest])}. Choose "
        + ", or ".join(filter(None, ways))
    )


def readable(count: float) -> str:
    """A number of bytes for people: 1.5 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:,.3g} TiB"


def _planned(value: Any, reduce: Reduce) -> LayerPlan:
    dtype = jax.dtypes.canonicalize_dtype(value.dtype)  # numpy's float64 is float32 to jax
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WidthWarning)  # a plan is how to learn of the width
        matrix = jax.eval_shape(
            lambda x: prepare(x, reduce=reduce), jax.ShapeDtypeStruct(value.shape, dtype)
        )
    positions = prod(value.shape[1:-1]) if reduce == "samples" else 1
    return LayerPlan(tuple(value.shape[1:]), dtype.name, reduce, positions, matrix.shape[1])


def _unfit(value: Any, rows: int) -> str:
    """Why a layer's value makes no matrix of ``rows`` samples; nothing if it does."""
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        return f"a {type(value).__name__}, no array"
    if len(value.shape) < 2 or value.shape[0] != rows or 0 in value.shape:
        return f"shape {tuple(value.shape)} is not (n, ...) of n = {rows} samples"
    if not jnp.issubdtype(value.dtype, jnp.floating):
        return f"{jnp.dtype(value.dtype).name}, no real floating-point numbers"
    return ""


def _require_reductions(reduce: Reductions) -> None:
    asked: Sequence[str] = (reduce,) if isinstance(reduce, str) else tuple(reduce.values())
    if wrong := [way for way in asked if way not in get_args(Reduce)]:
        allowed = ", ".join(map(repr, get_args(Reduce)))
        raise ValueError(
            f"reduce must be one of {allowed}, or map patterns of layer names to them, found {wrong[0]!r}"
        )


def _require_patterns_used(reduce: Reductions, names: Sequence[str]) -> None:
    patterns = () if isinstance(reduce, str) else tuple(reduce)
    if unused := [
        pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)
    ]:
        raise ValueError(
            f"reduce has patterns {unused} that fit no layer; the layers there are: {', '.join(names)}"
        )
