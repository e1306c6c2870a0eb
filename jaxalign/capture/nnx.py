"""The flax.nnx adapter: activations are sown by a subclass that each layer of a throw-away copy is moved to.

Only instances of the copy change class, never the user's classes, so any thread may trace. Sown values are module
state, so they pass through nnx.jit and nnx.remat inside the model as no Python list would.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from flax import nnx

from jaxalign.capture.layers import matches, require_all_found


class Activation(nnx.Intermediate):
    """The variable type activations are sown under; the model's own Intermediates stay apart."""


_SOWN = "activation"


def nnx_forward(model: nnx.Module, patterns: Sequence[str], at: str) -> Callable[..., tuple[Any, OrderedDict[str, Any]]]:
    """``(state, *args) -> (output, activations)`` of the layers of ``model`` that fit the patterns."""
    names = [_dotted(path) for path, layer in nnx.iter_modules(model) if path and callable(layer)]
    require_all_found(patterns, names, "are not layers of the model")
    graph = nnx.graphdef(model)

    def forward(state: nnx.State, *args: Any, **kwargs: Any) -> tuple[Any, OrderedDict[str, Any]]:
        copy = nnx.merge(graph, state, copy=True)
        calls: list[str] = []  # names only: a traced value kept here would leak out of nnx.jit
        for path, layer in nnx.iter_modules(copy):
            name = _dotted(path)
            if path and callable(layer) and matches(name, patterns):
                layer.__class__ = _recording(type(layer), name, at, calls)
        output, sown = nnx.capture(copy, Activation)(*args, **kwargs)
        values = {_dotted(path[:-1]): variable.get_value() for path, variable in nnx.to_flat_state(sown)}
        return output, _in_order(calls, values)

    return forward


def _recording(layer: type, name: str, at: str, calls: list[str]) -> type:
    """A subclass of ``layer`` that sows what its ``__call__`` returns, or the first argument it is given."""

    def __call__(self, *args, **kwargs):
        output = layer.__call__(self, *args, **kwargs)
        value = output if at == "output" else next(iter((*args, *kwargs.values())), None)
        if value is not None:
            calls.append(name)
            self.sow(Activation, _SOWN, value)
        return output

    return type(layer.__name__, (layer,), {"__call__": __call__, "__module__": layer.__module__})


def _in_order(calls: Sequence[str], values: dict[str, tuple]) -> OrderedDict[str, Any]:
    """Values by name in the order of the calls; a layer's later calls are named #2, #3, ..."""
    ordered: OrderedDict[str, Any] = OrderedDict()
    taken = dict.fromkeys(values, 0)
    for name in calls:
        if taken.get(name, 0) < len(values.get(name, ())):
            taken[name] += 1
            ordered[name if taken[name] == 1 else f"{name}#{taken[name]}"] = values[name][taken[name] - 1]
    return ordered


def _dotted(path: Sequence[Any]) -> str:
    return ".".join(map(str, path))
