"""The flax.linen adapter: an interceptor marks the value of each layer."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import flax.linen as nn
import jax
from flax.core import freeze, unfreeze
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array

from jaxalign.capture._filters import Filters, fitting, require_own_name
from jaxalign.capture._layers import run_marked
from jaxalign.capture._marks import call_marked
from jaxalign.capture._passes import Pass
from jaxalign.capture._program import Call, program
from jaxalign.capture._states import missing_variables, require_variables

_FORWARDS = count()
_NAMES = "jaxalign_names"


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Name:
    """The name of a layer, as a part of the structure of its variables."""

    text: str


def linen_forward(
    module: nn.Module, filters: Filters, at: str, call: Call | None
) -> Callable[..., tuple[Any, OrderedDict[str, Any]]]:
    """``(variables, *args) -> (output, activations)`` for the layers that fit the filters."""
    recorded = _recorded(module, filters, at, call)

    def forward(
        variables: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> tuple[Any, OrderedDict[str, Any]]:
        # The updates of BatchNorm and others are dropped: tap is pure.
        (output, _), activations = recorded(LinenNetwork.state(variables), *args, **kwargs)
        return output, activations

    return forward


@dataclass(frozen=True)
class LinenNetwork:
    """A module as ``fit`` trains it. Its state are its variables.

    Attributes:
      module: the module.
      call: how it is called, or None.
    """

    module: nn.Module
    call: Call | None = None

    @staticmethod
    def state(variables: Any) -> dict[str, Any]:
        """The variables without what the model has sown before: that would only grow."""
        require_variables(variables)
        return {name: unfreeze(variables[name]) for name in variables if name != "intermediates"}

    def split(self, state: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """(parameters, the other collections)."""
        return state["params"], {name: state[name] for name in state if name != "params"}

    def merge(self, parameters: Any, rest: Mapping[str, Any]) -> dict[str, Any]:
        """The variables that ``split`` has split."""
        return {"params": parameters, **rest}

    def run(
        self,
        parameters: Any,
        rest: Mapping[str, Any],
        batch: Array,
        key: Callable[[], Array],
        layers: tuple[Filters, str] | None,
    ) -> Pass:
        """A forward pass, with the activations of layers; all random streams come of the key."""
        variables = self.merge(parameters, rest)
        activations: OrderedDict[str, Array] = OrderedDict()
        if layers is None:
            outputs, updated = _applied(self.module, variables, batch, rngs=key(), method=self.call)
        else:
            recorded = _recorded(self.module, *layers, self.call)
            (outputs, updated), activations = recorded(variables, batch, rngs=key())
        after = {**rest, **unfreeze(updated)}
        return Pass(outputs, after, activations)


def _applied(module: nn.Module, variables: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    """(output, updated collections).

    A collection that is missing is not mutable: flax would fill it with initial values, and say
    nothing.
    """
    mutable = [name for name in variables if name not in ("params", _NAMES)]
    with missing_variables([name for name in variables if name != _NAMES]):
        return module.apply(variables, *args, mutable=mutable, **kwargs)


def _recorded(
    module: nn.Module, filters: Filters, at: str, call: Call | None
) -> Callable[..., tuple[Any, OrderedDict[str, Any]]]:
    """``(variables, *args) -> ((output, updated collections), activations)``."""
    number = next(_FORWARDS)
    # By name. It outlives a call, since nn.jit does not run a layer again that it has traced.
    fits: dict[str, tuple[bool, ...]] = {}
    paths: dict[str, tuple[str, ...]] = {}

    def intercept(run, inputs, settings, context):
        layer = context.module
        if layer.scope is None:
            return run(*inputs, **settings)
        name = ".".join(layer.path)
        # nn.jit knows its programs by these.
        layer.scope.flags = freeze({**layer.scope.flags, _NAMES: number})
        if context.method_name != "__call__" or not name:
            return run(*inputs, **settings)
        require_own_name(name, layer.path, paths)
        fits[name] = fitting(name, layer, filters)
        parameters = layer.variables.get("params", {})
        return call_marked(run, inputs, settings, at, name, parameters)

    def function(variables: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        named = {**variables, _NAMES: _names(variables)}
        with nn.intercept_methods(intercept):
            return _applied(module, named, *args, method=call, **kwargs)

    def forward(
        variables: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> tuple[Any, OrderedDict[str, Any]]:
        traced = program(function, (variables, *args), kwargs)
        return run_marked(traced, filters, fits, at, function, (variables, *args), kwargs)

    return forward


def _names(variables: Mapping[str, Any]) -> dict[str, Any]:
    """A collection without arrays that has the name of each layer with variables.

    nn.jit runs the program of one layer for all that look alike. The marks in it have the name of
    that layer, so those with another name have to look different.
    """
    paths = {path[:-1] for collection in variables.values() for path in flatten_dict(collection)}
    prefixes = {path[:length] for path in paths for length in range(len(path) + 1)}
    return unflatten_dict({(*path, _NAMES): _Name(".".join(path)) for path in prefixes})
