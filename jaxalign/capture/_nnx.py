"""The flax.nnx adapter: each layer of a temporary copy gets a subclass that sows its activation.

Only instances in the copy change their class, never the user's classes, so several threads may
trace at once. Sown values are module state: unlike a Python list, they pass through nnx.jit and
nnx.remat inside the model.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx

from jaxalign.capture._filters import Filters, captured, in_order, matches, require_all_found
from jaxalign.capture._states import names_of, nnx_state


class Activation(nnx.Intermediate):
    """The variable type of sown activations, separate from the model's own Intermediates."""


_SOWN = "activation"


def nnx_forward(
    model: nnx.Module, filters: Filters, at: str
) -> Callable[..., tuple[Any, OrderedDict[str, Any]]]:
    """``(state, *args) -> (output, activations)`` for the layers that fit the filters."""
    require_all_found(filters, _layers(model), "are not layers of the model")
    graph, variables = without_sown(model)
    expected = names_of(variables)

    def forward(state: nnx.State, *args: Any, **kwargs: Any) -> tuple[Any, OrderedDict[str, Any]]:
        arrays = nnx_state(state, expected)
        return record(nnx.merge(graph, arrays, copy=True), filters, at, *args, **kwargs)

    return forward


def without_sown(module: nnx.Module) -> tuple[nnx.GraphDef, nnx.State]:
    """A model's structure and arrays, without what it has sown: that grows at every call."""
    graph, variables = nnx.split(module)
    copy = nnx.merge(graph, variables, copy=True)
    if nnx.pop(copy, nnx.Intermediate):
        return nnx.split(copy)
    return graph, variables


def record(
    copy: nnx.Module, filters: Filters, at: str, *args: Any, **kwargs: Any
) -> tuple[Any, OrderedDict[str, Any]]:
    """Call a temporary copy of a module: (output, activations).

    The copy is changed: afterwards, its state is that after the call.
    """
    # Names only: a traced value kept here would leak out of nnx.jit.
    calls: list[str] = []
    tapped = {name: layer for name, layer in _layers(copy).items() if matches(name, layer, filters)}
    for name, layer in tapped.items():
        layer.__class__ = _recording(type(layer), name, at, calls)
    output, sown = nnx.capture(copy, Activation)(*args, **kwargs)
    values = {
        _dotted(path[:-1]): variable.get_value() for path, variable in nnx.to_flat_state(sown)
    }
    computed = {name: layer for name, layer in tapped.items() if name in values}
    require_all_found(
        filters, computed, f"were asked for and their {at} was never computed, or is no array"
    )
    return output, in_order(calls, values)


def _layers(model: nnx.Module) -> dict[str, nnx.Module]:
    return {
        _dotted(path): layer for path, layer in nnx.iter_modules(model) if path and callable(layer)
    }


def _recording(layer: type, name: str, at: str, calls: list[str]) -> type:
    """A subclass of ``layer`` that sows the output of its ``__call__``, or the first argument."""

    def __call__(self, *args, **kwargs):
        output = layer.__call__(self, *args, **kwargs)
        value = captured(at, output, args, kwargs)
        if isinstance(value, jax.Array):
            calls.append(name)
            self.sow(Activation, _SOWN, value)
        return output

    return type(layer.__name__, (layer,), {"__call__": __call__, "__module__": layer.__module__})


def _dotted(path: Sequence[Any]) -> str:
    return ".".join(map(str, path))
