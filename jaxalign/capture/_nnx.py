"""The flax.nnx adapter: each layer of a temporary copy gets a subclass that marks its value.

Only instances in the copy change their class, never the user's, so several threads may trace at
once.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from jaxalign.capture._filters import Filters, fitting, require_all_found, require_own_name
from jaxalign.capture._layers import never_computed, run_layers
from jaxalign.capture._passes import Pass
from jaxalign.capture._program import Call, Program, called, program
from jaxalign.capture._sites import MARKS
from jaxalign.capture._states import names_of, nnx_state
from jaxalign.capture._subclasses import Kind, marking, require_same


def nnx_forward(
    model: nnx.Module, filters: Filters, at: str, call: Call | None
) -> Callable[..., tuple[Any, OrderedDict[str, Any]]]:
    """``(state, *args) -> (output, activations)`` for the layers that fit the filters."""
    graph, variables = without_sown(model)
    expected = names_of(variables)
    tapped = _tapped(model, graph, filters, at, call or called)
    require_all_found(filters, tapped.fits, "are not layers of the model")
    compare = True

    def forward(state: nnx.State, *args: Any, **kwargs: Any) -> tuple[Any, OrderedDict[str, Any]]:
        nonlocal compare
        arrays = nnx_state(state, expected)
        (output, _), activations = tapped.run((arrays, *args), kwargs, compare=compare)
        # Once is enough: the model is the same at each call.
        compare = False
        return output, activations

    return forward


def without_sown(module: nnx.Module) -> tuple[nnx.GraphDef, nnx.State]:
    """A model's structure and arrays, without what it has sown: that grows at every call."""
    graph, variables = nnx.split(module)
    copy = nnx.merge(graph, variables, copy=True)
    if nnx.pop(copy, nnx.Intermediate):
        return nnx.split(copy)
    return graph, variables


@dataclass(frozen=True)
class NnxNetwork:
    """A module without its arrays, as ``fit`` trains it; random keys are among its arrays.

    Attributes:
      graph: its structure.
      call: how it is called, or None.
    """

    graph: nnx.GraphDef
    call: Call | None = None

    def split(self, state: nnx.State) -> tuple[nnx.State, nnx.State]:
        """(parameters, the rest)."""
        parameters, rest = nnx.split_state(state, nnx.Param, ...)
        return parameters, rest

    def merge(self, parameters: nnx.State, rest: nnx.State) -> nnx.State:
        """The state that ``split`` has split."""
        return nnx.merge_state(parameters, rest)

    def run(
        self,
        parameters: nnx.State,
        rest: nnx.State,
        batch: Array,
        key: Callable[[], Array],
        layers: tuple[Filters, str] | None,
    ) -> Pass:
        """A forward pass, with the activations of layers."""
        module = nnx.merge(self.graph, parameters, rest, copy=True)
        call = self.call or called
        activations: OrderedDict[str, Array] = OrderedDict()
        if layers is None:
            outputs = call(module, batch)
            after = nnx.state(module)
        else:
            graph, state = nnx.split(module)
            tapped = _tapped(module, graph, *layers, call)
            (outputs, after), activations = tapped.run((state, batch), {}, compare=False)
        updated = nnx.filter_state(after, nnx.Not(nnx.Param))
        return Pass(outputs, _known_variables(updated, rest), activations)


def _known_variables(updated: nnx.State, before: nnx.State) -> nnx.State:
    """The updated variables, without those that the model has sown meanwhile."""
    known = dict(nnx.to_flat_state(before))
    kept = [(path, variable) for path, variable in nnx.to_flat_state(updated) if path in known]
    for path, variable in kept:
        shapes = jax.tree.map(jnp.shape, known[path].get_raw_value())
        new_shapes = jax.tree.map(jnp.shape, variable.get_raw_value())
        if shapes != new_shapes:
            kind = type(variable).__name__
            raise ValueError(
                f"variable {'.'.join(map(str, path))!r} of the model must keep its shape, found "
                f"{new_shapes} after {shapes}; if it was sown, remove it by nnx.pop(model, {kind})"
            )
    return nnx.from_flat_state(kept)


class _Tapped(NamedTuple):
    """A model as it is tapped.

    Attributes:
      graph: its structure.
      orders: the names of each module's attributes, in order.
      fits: layer → which filters fit.
      filters: the filters.
      at: "output" or "input" of the layers.
      call: how the model is called.
    """

    graph: nnx.GraphDef
    orders: dict[tuple, list[str]]
    fits: dict[str, tuple[bool, ...]]
    filters: Filters
    at: str
    call: Call

    def plain(self, state: nnx.State, *args: Any, **kwargs: Any) -> tuple[Any, nnx.State]:
        """(output, state after the call)."""
        model = self.model(state)
        return self.call(model, *args, **kwargs), nnx.state(model)

    def marked(self, state: nnx.State, *args: Any, **kwargs: Any) -> tuple[Any, nnx.State]:
        """The same, with the values of layers marked."""
        model = self.model(state)
        for name, layer in _layers(model).items():
            layer.__class__ = marking(type(layer), name, self.at, _KIND)
        return self.call(model, *args, **kwargs), nnx.state(model)

    def model(self, state: nnx.State) -> nnx.Module:
        """A copy. Its attributes have the order of the model: nnx.merge sorts them, and nnx.Dict
        runs over them.
        """
        copy = nnx.merge(self.graph, state, copy=True)
        for path, module in nnx.iter_modules(copy):
            attributes = vars(module)
            for name in self.orders[path]:
                # What the model has sown is not in the copy.
                if name in attributes:
                    attributes[name] = attributes.pop(name)
        return copy

    def run(
        self, arguments: Sequence[Any], settings: dict[str, Any], *, compare: bool
    ) -> tuple[tuple[Any, nnx.State], OrderedDict[str, Any]]:
        """((output, state after the call), activations) of a call with (state, ...)."""
        call = program(self.marked, arguments, settings)
        if compare:
            _require_same(program(self.plain, arguments, settings), call)
        names = [site.name for site in call.sites(MARKS)]
        computed = {name: self.fits[name] for name in names if any(self.fits[name])}
        require_all_found(self.filters, computed, never_computed(self.at))
        return run_layers(call, MARKS, self.fits, self.marked, arguments, settings)


def _tapped(
    model: nnx.Module, graph: nnx.GraphDef, filters: Filters, at: str, call: Call
) -> _Tapped:
    orders = {path: list(vars(module)) for path, module in nnx.iter_modules(model)}
    fits = {name: fitting(name, layer, filters) for name, layer in _layers(model).items()}
    return _Tapped(graph, orders, fits, filters, at, call)


def _require_same(plain: Program, marked: Program) -> None:
    """Raise if the model tells a layer from an instance of its subclass.

    Marks under vmap move axes, so there the programs cannot be compared.
    """
    if any(site.axes for site in marked.sites(MARKS)):
        return
    require_same(plain, marked)


def _layers(model: nnx.Module) -> dict[str, nnx.Module]:
    layers = {}
    paths: dict[str, tuple] = {}
    for path, layer in nnx.iter_modules(model):
        if path and callable(layer):
            name = ".".join(map(str, path))
            require_own_name(name, path, paths)
            layers[name] = layer
    return layers


def _parameters(layer: Any) -> list:
    return jax.tree.leaves(nnx.state(layer, nnx.Param))


def _settings(layer: Any) -> dict[str, Any]:
    """What nnx does not inherit."""
    return {} if layer._pytree__is_pytree else {"pytree": False}


_KIND = Kind(_parameters, settings=_settings)
