"""The Keras adapter: during a trace, the layers of the model are instances of marking subclasses.

The variables stay as they are: in a ``keras.StatelessScope``, layers read other values.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import RLock
from typing import Any

import keras
from jax import Array
from keras.src.backend import get_keras_mask, set_keras_mask

from jaxalign._core.kinds import found
from jaxalign.capture._filters import Filters, fitting, require_all_found
from jaxalign.capture._keras_structure import structure
from jaxalign.capture._layers import run_marked
from jaxalign.capture._marks import mark
from jaxalign.capture._passes import Pass
from jaxalign.capture._program import Call, called, program
from jaxalign.capture._states import listed
from jaxalign.capture._subclasses import UNMARKED, Kind, marking, require_same

_TRACING = RLock()
"""Held while layers have another class: Keras cannot copy a model."""

Model = keras.layers.Layer
Layers = Sequence[tuple[str, Any]]


def keras_forward(
    model: Any, filters: Filters, at: str, call: Call | None
) -> Callable[..., tuple[Any, OrderedDict[str, Any]]]:
    """``((trainable, non-trainable), *args) -> (output, activations)`` of the layers that fit."""
    recorded = _recorded(model, filters, at, call)

    def forward(state: Any, *args: Any, **kwargs: Any) -> tuple[Any, OrderedDict[str, Any]]:
        # Updates of averages and of random keys are dropped: tap is pure.
        (output, _), activations = recorded(_checked_state(state, model), *args, **kwargs)
        return output, activations

    return forward


@dataclass(frozen=True, eq=False)
class KerasNetwork:
    """A model as ``fit`` trains it, in training mode; random keys are among its variables.

    Its state is (values of trainable variables, values of the others).

    Attributes:
      model: the model.
      call: how it is called, or None.
    """

    model: Any
    call: Call | None

    def __eq__(self, other: object) -> bool:
        """Whether both compute the same."""
        if not isinstance(other, KerasNetwork) or self.call != other.call:
            return False
        if self.model is other.model:
            return True
        own = structure(self.model)
        return own is not None and own == structure(other.model)

    def split(self, state: Any) -> tuple[Any, Any]:
        """(parameters, the rest)."""
        return state

    def merge(self, parameters: Any, rest: Any) -> Any:
        """The state that ``split`` has split."""
        return parameters, rest

    def run(
        self,
        parameters: Any,
        rest: Any,
        batch: Array,
        key: Callable[[], Array],
        layers: tuple[Filters, str] | None,
    ) -> Pass:
        """A forward pass, with the activations of layers."""
        call = partial(_without_losses, self.call or partial(called, training=True))
        state = parameters, rest
        activations: OrderedDict[str, Array] = OrderedDict()
        if layers is None:
            outputs, after = _applied(self.model, call, state, batch)
        else:
            recorded = _recorded(self.model, *layers, call)
            (outputs, after), activations = recorded(state, batch)
        return Pass(outputs, after, activations)


def split(model: Any, call: Call | None) -> tuple[KerasNetwork, Any]:
    """What a model computes, and its state.

    Raises:
      ValueError: a model that is not built, or does more to its weights than an optax optimizer of
        an objective of outputs and labels does: by losses of its layers, or by constraints.
    """
    _require_ready(model)
    _require_no_losses(model)
    constrained = [one.path for one in model.trainable_variables if one.constraint is not None]
    if constrained:
        raise ValueError(
            f"model must have no constraints, which Keras' own optimizers keep, found those of "
            f"{listed(constrained)}; keep them by the optimizer, as optax.keep_params_nonnegative, "
            "or build the model without"
        )
    state = model.trainable_variables, model.non_trainable_variables
    return KerasNetwork(model, call), _checked_state(state, model)


def _require_no_losses(model: Any) -> None:
    if model.losses:
        raise ValueError(
            f"model must add no losses of its own, found {len(model.losses)}, as of regularizers; "
            "decay the weights by the optimizer, as optax.adamw does"
        )


def _without_losses(call: Call, model: Any, *args: Any, **kwargs: Any) -> Any:
    """The model called; layers add their losses only then."""
    outputs = call(model, *args, **kwargs)
    _require_no_losses(model)
    return outputs


def _applied(model: Any, call: Call, state: Any, *args: Any, **kwargs: Any) -> tuple[Any, list]:
    """(output, values of the variables that are not trainable, after the call)."""
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    mapping = list(zip(variables, (*state[0], *state[1]), strict=True))
    with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
        output = call(model, *args, **kwargs)
    after = [scope.get_current_value(one) for one in model.non_trainable_variables]
    return output, after


def _recorded(
    model: Any, filters: Filters, at: str, call: Call | None
) -> Callable[..., tuple[Any, OrderedDict[str, Any]]]:
    """``(state, *args) -> ((output, values after the call), activations)``."""
    _require_ready(model)
    layers = list(_layers(model, ()))
    fits: dict[str, tuple[bool, ...]] = {}
    for name, layer in layers:
        # Names need not be unique: later layers of a name are like later calls.
        other = fits.get(name, (False,) * len(filters))
        pairs = zip(other, fitting(name, layer, filters), strict=True)
        fits[name] = tuple(one or another for one, another in pairs)
    require_all_found(filters, fits, "are not layers of the model")
    run = call or called

    def plain(state: Any, *args: Any, **kwargs: Any) -> Any:
        return _applied(model, run, state, *args, **kwargs)

    def marked(state: Any, *args: Any, **kwargs: Any) -> Any:
        with _marking(layers, at):
            return plain(state, *args, **kwargs)

    def unmarked(state: Any, *args: Any, **kwargs: Any) -> Any:
        with _marking(layers, UNMARKED):
            return plain(state, *args, **kwargs)

    compare = True

    def forward(state: Any, *args: Any, **kwargs: Any) -> tuple[Any, OrderedDict[str, Any]]:
        nonlocal compare
        arguments = (state, *args)
        traced = program(marked, arguments, kwargs)
        if compare:
            require_same(program(plain, arguments, kwargs), program(unmarked, arguments, kwargs))
            # Once is enough: the model is the same at each call.
            compare = False
        return run_marked(traced, filters, fits, at, marked, arguments, kwargs)

    return forward


def _require_ready(model: Any) -> None:
    backend = keras.config.backend()
    if backend != "jax":
        raise TypeError(
            f"model must be a Keras model on JAX, found one on {backend}; set KERAS_BACKEND=jax "
            "before keras is imported"
        )
    if not all(layer.built for layer in model._flatten_layers()):
        raise ValueError(
            "model must be built, found variables that do not exist yet; call it on a batch first"
        )


def _layers(layer: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """(dotted name, layer) of all layers inside a layer."""
    for inner in layer._flatten_layers(recursive=False, include_self=False):
        if isinstance(inner, keras.layers.InputLayer):
            continue
        inner_path = (*path, inner.name)
        yield ".".join(inner_path), inner
        yield from _layers(inner, inner_path)


def _checked_state(state: Any, model: Any) -> tuple[list, list]:
    """The values of a model's variables.

    Raises:
      TypeError: no pair of lists.
      ValueError: another number of variables, or other shapes.
    """
    remedy = "pass (model.trainable_variables, model.non_trainable_variables), or their values"
    is_pair = isinstance(state, list | tuple) and len(state) == 2
    if not is_pair or not all(isinstance(part, list | tuple) for part in state):
        raise TypeError(f"state must be that of a Keras model, found {found(state)}; {remedy}")
    values = [[_value(one) for one in part] for part in state]
    expected = [model.trainable_variables, model.non_trainable_variables]
    for part, variables in zip(values, expected, strict=True):
        shapes = [tuple(one.shape) for one in part]
        wanted = [tuple(variable.shape) for variable in variables]
        if shapes != wanted:
            names = listed([variable.path for variable in variables])
            raise ValueError(
                f"state must have the shapes {wanted} of the model's variables ({names}), "
                f"found {shapes}; {remedy}"
            )
    return values[0], values[1]


def _value(variable: Any) -> Any:
    return variable.value if isinstance(variable, keras.Variable) else variable


@contextmanager
def _marking(layers: Layers, at: str) -> Iterator[None]:
    """Layers as instances of subclasses; one that is at several places has its first name."""
    with _TRACING:
        own: dict[int, tuple[Any, Any, str]] = {
            id(layer): (layer, type(layer), name) for name, layer in reversed(layers)
        }
        try:
            for layer, kind, name in own.values():
                object.__setattr__(layer, "__class__", marking(kind, name, at, _KIND))
            yield
        finally:
            for layer, kind, _ in own.values():
                object.__setattr__(layer, "__class__", kind)


def _arrays(layer: Any) -> list:
    return [variable.value for variable in layer.variables]


def _mark(value: Any, name: str, arrays: list) -> Any:
    """A mark that keeps the mask which Keras attaches to an array, or remembers for a tracer."""
    marked = mark(value, name, arrays)
    if marked is not value:
        set_keras_mask(marked, get_keras_mask(value))
    return marked


_KIND = Kind(_arrays, _mark)
