"""The equinox adapter: each layer of a temporary copy gets a subclass that marks its value.

An equinox model takes one sample, so by default it is called under ``jax.vmap``.
"""

import inspect
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
from jax import Array
from jax.tree_util import keystr, tree_flatten_with_path, tree_map_with_path

from jaxalign._core.kinds import found
from jaxalign.capture._filters import Filters, fitting, require_all_found, require_own_name
from jaxalign.capture._layers import run_marked
from jaxalign.capture._marks import mark
from jaxalign.capture._passes import Pass
from jaxalign.capture._program import Call, called, program
from jaxalign.capture._states import listed
from jaxalign.capture._subclasses import UNMARKED, Kind, marking, require_same

Path = tuple[Any, ...]


def _is_state(x: Any) -> bool:
    return isinstance(x, eqx.nn.State)


def _is_no_state(x: Any) -> bool:
    return not _is_state(x)


def over_samples(model: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``jax.vmap(model, axis_name="batch")`` of the arguments.

    Every array has the samples first. An ``eqx.nn.State`` is the same for all samples.
    """

    def of_one(of_sample: Any, states: Any) -> Any:
        own_args, own_kwargs = eqx.combine(of_sample, states, is_leaf=_is_state)
        result = model(*own_args, **own_kwargs)
        return eqx.partition(result, _is_no_state, is_leaf=_is_state)

    inputs, states = eqx.partition((args, kwargs), _is_no_state, is_leaf=_is_state)
    _require_samples(inputs)
    axes = eqx.if_array(0), None
    mapped = eqx.filter_vmap(of_one, in_axes=axes, out_axes=axes, axis_name="batch")
    return eqx.combine(*mapped(inputs, states), is_leaf=_is_state)


def _require_samples(inputs: Any) -> None:
    """Raise unless all arrays have the same number of samples."""
    shapes = [leaf.shape for leaf in jax.tree.leaves(inputs) if eqx.is_array(leaf)]
    if () in shapes or len({shape[0] for shape in shapes}) > 1:
        raise ValueError(
            "an equinox model takes one sample, and tap calls it under jax.vmap: every array must "
            f"have the samples first, found shapes {', '.join(map(str, shapes))}; pass a random "
            "key as jax.random.split(key, samples), or call= for another way to call the model"
        )


def equinox_forward(
    model: eqx.Module, filters: Filters, at: str, call: Call | None
) -> Callable[..., tuple[Any, OrderedDict[str, Any]]]:
    """``(model or its arrays, *args) -> (output, activations)`` for the layers that fit."""
    fits: dict[str, tuple[bool, ...]] = {}
    paths: dict[str, Path] = {}

    def note(path: Path, layer: Any) -> None:
        name = _name(path)
        require_own_name(name, path, paths)
        fits[name] = fitting(name, layer, filters)

    _with_layers(model, (), note)
    require_all_found(filters, fits, "are not layers of the model")
    run = call or (called if _is_wrapper(model) else over_samples)

    def applied(at: str | None, arrays: Any, *args: Any, **kwargs: Any) -> Any:
        own, states = arrays
        args, kwargs = eqx.combine((args, kwargs), states, is_leaf=_is_state)
        return run(own if at is None else _marked(own, at), *args, **kwargs)

    marked = partial(applied, at)
    compare = True

    def forward(state: Any, *args: Any, **kwargs: Any) -> tuple[Any, OrderedDict[str, Any]]:
        nonlocal compare
        # A model with the State that it is called with; the new State is dropped: tap is pure.
        is_pair = isinstance(state, tuple)
        arrays, *own = state if is_pair else (state,)
        inputs = (*args[:1], *own, *args[1:]), kwargs
        # States are not samples.
        (args, kwargs), states = eqx.partition(inputs, _is_no_state, is_leaf=_is_state)
        arguments = ((_filled(arrays, model), states), *args)
        traced = program(marked, arguments, kwargs)
        if compare:
            plain, unmarked = (
                program(partial(applied, at), arguments, kwargs) for at in (None, UNMARKED)
            )
            require_same(plain, unmarked)
            # Once is enough: the model is the same at each call.
            compare = False
        output, activations = run_marked(traced, filters, fits, at, marked, arguments, kwargs)
        return (output[0] if is_pair else output), activations

    return forward


@dataclass(frozen=True, eq=False)
class EquinoxNetwork:
    """A model without its arrays, as ``fit`` trains it.

    Its state is its arrays, or (its arrays, State). Parameters are arrays of floating point. The
    model gets a random key for each sample if its ``__call__`` has an argument ``key``.

    Attributes:
      rest_of_model: what of it is not an array.
      trainable: which of its arrays are parameters.
      call: how it is called, or None: then as by ``over_samples``.
    """

    rest_of_model: Any
    trainable: Any
    call: Call | None

    def __eq__(self, other: object) -> bool:
        """Whether both compute the same."""
        return (
            isinstance(other, EquinoxNetwork)
            and self.call == other.call
            and bool(eqx.tree_equal(self.rest_of_model, other.rest_of_model))
        )

    def split(self, state: Any) -> tuple[Any, Any]:
        """(parameters, (other arrays, State or None))."""
        arrays, own_state = state if isinstance(state, tuple) else (state, None)
        parameters, others = eqx.partition(arrays, self.trainable)
        return parameters, (others, own_state)

    def merge(self, parameters: Any, rest: Any) -> Any:
        """The state that ``split`` has split."""
        others, own_state = rest
        arrays = eqx.combine(parameters, others)
        return arrays if own_state is None else (arrays, own_state)

    def run(
        self,
        parameters: Any,
        rest: Any,
        batch: Array,
        key: Callable[[], Array],
        layers: tuple[Filters, str] | None,
    ) -> Pass:
        """A forward pass, with the activations of layers."""
        others, own_state = rest
        model = eqx.combine(parameters, others, self.rest_of_model)
        arguments = [batch] if own_state is None else [batch, own_state]
        settings = {}
        if "key" in inspect.signature(self.call or type(model).__call__).parameters:
            settings["key"] = jax.random.split(key(), len(batch)) if self.call is None else key()
        activations: OrderedDict[str, Array] = OrderedDict()
        if layers is None:
            result = (self.call or over_samples)(model, *arguments, **settings)
        else:
            forward = equinox_forward(model, *layers, self.call)
            result, activations = forward(model, *arguments, **settings)
        if own_state is None:
            return Pass(result, rest, activations)
        outputs, new_state = result
        return Pass(outputs, (others, new_state), activations)


def split(model: Any, call: Call | None) -> tuple[EquinoxNetwork, Any]:
    """What a model computes, and its state; the model may come with its State."""
    module, *states = model if isinstance(model, tuple) else (model,)
    arrays, rest = eqx.partition(module, eqx.is_array)
    trainable = jax.tree.map(eqx.is_inexact_array, arrays)
    network = EquinoxNetwork(rest, trainable, call)
    return network, (arrays, *states) if states else arrays


def is_model(x: Any) -> bool:
    """Whether this is an equinox module with layers; ``eqx.filter_jit`` also makes a module of a
    plain function.
    """
    return isinstance(x, eqx.Module) and isinstance(getattr(x, "__wrapped__", x), eqx.Module)


def _is_wrapper(x: Any) -> bool:
    """Whether this is a model inside ``eqx.filter_vmap``, ``eqx.filter_jit``, ..."""
    return isinstance(x, eqx.Module) and hasattr(x, "__wrapped__")


def _filled(state: Any, model: eqx.Module) -> Any:
    """The model with the arrays of a state, which is a model or its arrays alone.

    Raises:
      TypeError: an array, or the state of a training loop.
      ValueError: the arrays of another model, or not all of them.
    """
    if not isinstance(state, eqx.Module):
        remedy = "pass the model, or eqx.filter(model, eqx.is_array)"
        raise TypeError(
            f"state must be an equinox model or its arrays, found {found(state)}; {remedy}"
        )
    given, own = _leaves(state), _leaves(model)
    missing = [
        path
        for path, leaf in own.items()
        if path not in given or (given[path] is None and eqx.is_array(leaf))
    ]
    others = [path for path in given if path not in own]
    if missing or others:
        raise ValueError(
            "state must hold the arrays of the model that was tapped; missing are "
            f"{listed([*map(_name, missing)])}, not of the model are "
            f"{listed([*map(_name, others)])}; pass the model, or "
            "eqx.filter(model, eqx.is_array)"
        )
    tree = jax.tree.structure(state, is_leaf=_is_none)
    filled = (own[path] if leaf is None else leaf for path, leaf in given.items())
    return jax.tree.unflatten(tree, filled)


def _is_none(x: Any) -> bool:
    return x is None


def _leaves(model: Any) -> dict[Path, Any]:
    return dict(tree_flatten_with_path(model, is_leaf=_is_none)[0])


def _name(path: Path) -> str:
    return keystr(path, simple=True, separator=".")


def _marked(model: Any, at: str) -> Any:
    """A copy whose layers mark their values."""

    def as_marking(path: Path, layer: Any) -> None:
        kind: Any = type(layer)
        object.__setattr__(layer, "__class__", marking(kind, _name(path), at, _KIND))

    return _with_layers(model, (), as_marking)


def _with_layers(model: Any, path: Path, visit: Callable[[Path, Any], None]) -> Any:
    """A copy of a model, whose submodules that can be called were visited, outermost first."""

    def is_inside(x: Any) -> bool:
        return x is not model and isinstance(x, eqx.Module)

    def own(inner_path: Path) -> Path:
        return () if _is_wrapper(model) else inner_path

    def copied(inner_path: Path, x: Any) -> Any:
        if not isinstance(x, eqx.Module):
            return x
        return _with_layers(x, (*path, *own(inner_path)), visit)

    copy = tree_map_with_path(copied, model, is_leaf=is_inside)
    if path and callable(copy):
        visit(path, copy)
    return copy


def _arrays(layer: Any) -> list:
    return jax.tree.leaves(eqx.filter(layer, eqx.is_array))


def _mark(value: Any, name: str, arrays: list) -> Any:
    """What a layer returns with its array marked; stateful layers return (array, State)."""
    match value:
        case (array, eqx.nn.State() as state):
            return mark(array, name, arrays), state
    return mark(value, name, arrays)


_KIND = Kind(_arrays, _mark)
