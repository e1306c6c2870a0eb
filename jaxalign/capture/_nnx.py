"""The flax.nnx adapter: each layer of a temporary copy gets a subclass that marks its value.

Only instances in the copy change their class, never the user's classes, so several threads may
trace at once. A subclass adds no attribute, so containers keep their length and structure, and it
passes through nnx.jit, nnx.scan and others inside the model.
"""

import types
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any

import jax
from flax import nnx

from jaxalign.capture._filters import Filters, fitting, require_all_found
from jaxalign.capture._layers import run_layers
from jaxalign.capture._marks import call_marked
from jaxalign.capture._program import Program, program, same_equations
from jaxalign.capture._sites import MARKS
from jaxalign.capture._states import names_of, nnx_state

Fits = dict[str, tuple[bool, ...]]

Orders = dict[tuple, list[str]]
"""The names of the attributes of each module of a model, in order."""


def nnx_forward(
    model: nnx.Module, filters: Filters, at: str
) -> Callable[..., tuple[Any, OrderedDict[str, Any]]]:
    """``(state, *args) -> (output, activations)`` for the layers that fit the filters."""
    fits = _fits(model, filters)
    require_all_found(filters, fits, "are not layers of the model")
    graph, variables = without_sown(model)
    expected = names_of(variables)
    orders = _orders(model)
    compare = True

    def forward(state: nnx.State, *args: Any, **kwargs: Any) -> tuple[Any, OrderedDict[str, Any]]:
        nonlocal compare
        arrays = nnx_state(state, expected)
        (output, _), activations = _run(
            graph, orders, fits, filters, at, (arrays, *args), kwargs, compare
        )
        # The model is the same at each call.
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


def record(
    copy: nnx.Module, filters: Filters, at: str, *args: Any, **kwargs: Any
) -> tuple[Any, OrderedDict[str, Any]]:
    """Call a temporary copy of a module: (output, activations).

    The copy is changed: afterwards, its state is that after the call.
    """
    graph, state = nnx.split(copy)
    orders = _orders(copy)
    fits = _fits(copy, filters)
    (output, after), activations = _run(
        graph, orders, fits, filters, at, (state, *args), kwargs, False
    )
    nnx.update(copy, after)
    return output, activations


def _run(
    graph: nnx.GraphDef,
    orders: Orders,
    fits: Fits,
    filters: Filters,
    at: str,
    arguments: Sequence[Any],
    settings: dict[str, Any],
    compare: bool,
) -> tuple[tuple[Any, nnx.State], OrderedDict[str, Any]]:
    """((output, state after the call), activations) of a model called with (state, ...)."""
    function = _function(graph, orders, at)
    call = program(function, arguments, settings)
    if compare:
        _require_same(program(_function(graph, orders, None), arguments, settings), call)
    names = [site.name for site in call.sites(MARKS)]
    computed = {name: fits[name] for name in names if any(fits[name])}
    require_all_found(
        filters, computed, f"were asked for and their {at} was never computed, or is no array"
    )
    return run_layers(call, MARKS, fits, function, arguments, settings)


def _function(
    graph: nnx.GraphDef, orders: Orders, at: str | None
) -> Callable[..., tuple[Any, nnx.State]]:
    """``(state, *args) -> (output, state after the call)`` of a model, with marks if ``at``."""

    def function(state: nnx.State, *args: Any, **kwargs: Any) -> tuple[Any, nnx.State]:
        copy = nnx.merge(graph, state, copy=True)
        _restore(copy, orders)
        if at is not None:
            for name, layer in _layers(copy).items():
                layer.__class__ = _marking(type(layer), name, at)
        output = copy(*args, **kwargs)
        return output, nnx.state(copy)

    return function


def _require_same(plain: Program, marked: Program) -> None:
    """Raise if the model tells a layer from an instance of its subclass.

    Marks under vmap move axes, so there the programs cannot be compared.
    """
    if any(site.axes for site in marked.sites(MARKS)):
        return
    if not same_equations(plain, marked):
        raise ValueError(
            "model computes something else when its layers are instances of subclasses, as those "
            "of a tap are; use isinstance(layer, kind) in place of type(layer) is kind"
        )


def _fits(model: nnx.Module, filters: Filters) -> Fits:
    return {name: fitting(name, layer, filters) for name, layer in _layers(model).items()}


def _layers(model: nnx.Module) -> dict[str, nnx.Module]:
    return {
        ".".join(map(str, path)): layer
        for path, layer in nnx.iter_modules(model)
        if path and callable(layer)
    }


def _orders(model: nnx.Module) -> Orders:
    return {path: list(vars(module)) for path, module in nnx.iter_modules(model)}


def _restore(copy: nnx.Module, orders: Orders) -> None:
    """Give attributes the order of the model: nnx.merge sorts them, and nnx.Dict runs over them."""
    for path, module in nnx.iter_modules(copy):
        attributes = vars(module)
        for name in orders[path]:
            # What the model has sown is not in the copy.
            if name in attributes:
                attributes[name] = attributes.pop(name)


@cache
def _marking(layer: Any, name: str, at: str) -> type:
    """A subclass of ``layer`` that marks the output of its ``__call__``, or the first argument.

    The same for each call, so that what nnx.jit has compiled inside a model is used again.
    """

    # Containers look at the signature.
    @wraps(layer.__call__)
    def __call__(self, *args, **kwargs):
        parameters = jax.tree.leaves(nnx.state(self, nnx.Param))

        def call(*args, **kwargs):
            return layer.__call__(self, *args, **kwargs)

        return call_marked(call, args, kwargs, at, name, parameters)

    body = {"__call__": __call__, "__module__": layer.__module__}
    settings = {}
    # Which nnx does not inherit.
    if not layer._pytree__is_pytree:
        settings["pytree"] = False
    return types.new_class(layer.__name__, (layer,), settings, lambda names: names.update(body))
