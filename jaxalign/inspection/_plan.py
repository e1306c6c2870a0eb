"""How each layer becomes a matrix, before anything is computed: its shape, its width d, the memory
of its sums.
"""

import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from math import prod
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign._core.kinds import require_kind
from jaxalign._core.memory import readable
from jaxalign._features import INPUT, Reduce, WidthWarning, prepare
from jaxalign.capture import Tap
from jaxalign.capture._tap import require_tap

Reductions = Reduce | Mapping[str, Reduce]

INPUT_WIDTH = 4096
"""Inputs of more values are not measured: their d × d eigenproblem would take longer than those of
the network.
"""


class LayerPlan(NamedTuple):
    """How one layer becomes a matrix.

    Attributes:
      shape: of its activation on one sample.
      dtype: of its activation.
      reduce: what becomes of the axes between samples and features, as in ``prepare``.
      positions: rows of the matrix per sample, 1 unless ``reduce`` is "samples".
      width: d, columns of the matrix, including the bias column.
    """

    shape: tuple[int, ...]
    dtype: str
    reduce: Reduce
    positions: int
    width: int

    def memory(self, targets: int) -> int:
        """Bytes that the layer's moments take for k targets: 8 (d + 2)(d + 1 + k)."""
        return 8 * (self.width + 2) * (self.width + 1 + targets)


Layers = OrderedDict[str, LayerPlan]


class Plan(NamedTuple):
    """The layers to measure, in the order they run, and those left out.

    Attributes:
      layers: name → LayerPlan; "input" first, if it is measured.
      left_out: name → the reason.
    """

    layers: Layers
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
        reduction}: the first pattern that matches a layer decides, and "mean" is used for layers
        that none matches. A layer (n, d) stays as it is. The inputs themselves are the layer
        "input", which is flattened unless "input" is among the patterns.

    Returns:
      Plan. Left out are layers that give no real floating-point array of n rows, and inputs of more
      than 4096 values.

    Raises:
      ValueError: no layer is left; an unknown reduction; a pattern that matches no layer.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.inspection import plan
      >>> model = nnx.Sequential(nnx.Conv(3, 16, (3, 3), rngs=nnx.Rngs(0)), nnx.relu)
      >>> layers = plan(ja.tap(model), nnx.state(model), jnp.ones((5, 8, 8, 3))).layers
      >>> {name: (layer.shape, layer.width) for name, layer in layers.items()}
      {'input': ((8, 8, 3), 193), 'layers.0': ((8, 8, 16), 17)}

    Source: ours.
    """
    require_tap(tap)
    _require_reductions(reduce)
    arguments = as_arguments(inputs)
    _, activations = jax.eval_shape(tap, state, *arguments)
    num_rows = shape_of(arguments[0])[0]
    layers: Layers = OrderedDict()
    left_out: dict[str, str] = {}
    for name, value in with_inputs(arguments, activations).items():
        if reason := _reason_to_leave_out(value, num_rows):
            left_out[name] = reason
            continue
        layer = _plan_layer(value, reduction_of(name, reduce))
        if name == INPUT and layer.width > INPUT_WIDTH + 1:
            left_out[name] = f"{layer.width - 1:,} values a sample, more than {INPUT_WIDTH:,}"
        else:
            layers[name] = layer
    _require_layers(layers, left_out)
    _require_patterns_used(reduce, [*layers, *left_out])
    return Plan(layers, left_out)


def as_arguments(inputs: Any) -> tuple[Any, ...]:
    """The arguments of one call of the model: an array alone, or a tuple as it is.

    Raises:
      ValueError: they do not all have the same n ≥ 1 rows.
    """
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    shapes = [shape_of(x) for x in arguments]
    lengths = {shape[:1] for shape in shapes}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise ValueError(f"inputs must be arrays (n, ...) of the same n ≥ 1, found shapes {shapes}")
    return arguments


def reduction_of(name: str, reduce: Reductions) -> Reduce:
    """The reduction of a layer: that of the first pattern that matches, "mean" where none does.

    The inputs are flattened unless a pattern is their very name.
    """
    default: Reduce = "flatten" if name == INPUT else "mean"
    if isinstance(reduce, str):
        return default if name == INPUT else reduce
    for pattern, way in reduce.items():
        if _fits(pattern, name):
            return way
    return default


def _fits(pattern: str, name: str) -> bool:
    # "*" is meant for layers: it leaves the inputs flat.
    return pattern == INPUT if name == INPUT else fnmatchcase(name, pattern)


def with_inputs(
    arguments: tuple[Any, ...], activations: Mapping[str, Any]
) -> OrderedDict[str, Any]:
    """The activations, after the inputs if those are one array and no layer has their name."""
    values = OrderedDict(activations)
    if len(arguments) == 1 and INPUT not in values:
        values[INPUT] = arguments[0]
        values.move_to_end(INPUT, last=False)
    return values


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array, of a shape, or of nested lists."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def require_memory(layers: Mapping[str, LayerPlan], targets: int, copies: int, limit: int) -> None:
    """Raise if the moments of all layers, times ``copies``, exceed a limit in bytes; the message
    says what would help.
    """
    need = {name: copies * layer.memory(targets) for name, layer in layers.items()}
    total = sum(need.values())
    if total <= limit:
        return
    largest = max(need, key=need.__getitem__)
    layer = layers[largest]
    ways = [
        "fewer layers in the tap",
        f"a memory_limit of {total} bytes",
        "on fewer samples than features, spectrum(features, targets), which needs n × n",
    ]
    if layer.reduce == "flatten" and len(layer.shape) > 1:
        ways.insert(0, f"reduce={{{largest!r}: 'mean'}} for d = {layer.shape[-1] + 1:,}")
    raise ValueError(
        f"the sums of {len(need)} layers would take {readable(total)}, "
        f"over the memory_limit of {readable(limit)}; the largest is {largest}, "
        f"of d = {layer.width:,}: {readable(need[largest])}. Choose {', or '.join(ways)}"
    )


def _plan_layer(value: Any, reduce: Reduce) -> LayerPlan:
    # JAX turns numpy's float64 into float32 unless x64 is on: plan for what it will compute in.
    dtype = jax.dtypes.canonicalize_dtype(value.dtype)
    with warnings.catch_warnings():
        # The plan is what tells the width, so prepare's warning of it is not needed.
        warnings.simplefilter("ignore", WidthWarning)
        shape = jax.ShapeDtypeStruct(value.shape, dtype)
        matrix = jax.eval_shape(partial(prepare, reduce=reduce), shape)
    positions = prod(value.shape[1:-1]) if reduce == "samples" else 1
    return LayerPlan(tuple(value.shape[1:]), dtype.name, reduce, positions, matrix.shape[1])


def _reason_to_leave_out(value: Any, num_rows: int) -> str:
    """Why a layer's value makes no matrix of ``num_rows`` samples; empty if it does."""
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        return f"a {type(value).__name__}, no array"
    if len(value.shape) < 2 or value.shape[0] != num_rows or 0 in value.shape:
        return f"shape {tuple(value.shape)} is not (n, ...) of n = {num_rows} samples"
    if not jnp.issubdtype(value.dtype, jnp.floating):
        return f"{jnp.dtype(value.dtype).name}, no real floating-point numbers"
    return ""


def _require_layers(layers: Layers, left_out: Mapping[str, str]) -> None:
    """Raise unless a layer beside the inputs is left."""
    if set(layers) - {INPUT}:
        return
    reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
    raise ValueError(
        f"no layer of the model can be measured ({reasons or 'none was tapped'}); "
        "tap layers that return (n, ...) floats"
    )


def _require_reductions(reduce: Reductions) -> None:
    require_kind(reduce, str | Mapping, "reduce", "pass one reduction, or {pattern: reduction}")
    ways: Sequence[str] = (reduce,) if isinstance(reduce, str) else tuple(reduce.values())
    wrong = [way for way in ways if way not in get_args(Reduce)]
    if wrong:
        allowed = ", ".join(map(repr, get_args(Reduce)))
        raise ValueError(
            f"reduce must be one of {allowed}, or map patterns of layer names to them, "
            f"found {wrong[0]!r}"
        )


def _require_patterns_used(reduce: Reductions, names: Sequence[str]) -> None:
    patterns = () if isinstance(reduce, str) else tuple(reduce)
    unused = [p for p in patterns if not any(_fits(p, name) for name in names)]
    if unused:
        raise ValueError(
            f"reduce has patterns {unused} that fit no layer; "
            f"the layers there are: {', '.join(names)}"
        )
