"""A model as ``fit`` trains it: what it computes by itself, apart from its arrays."""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import flax.linen
from flax import nnx
from jax import Array

from jaxalign._core.kinds import found
from jaxalign.capture._filters import Filters
from jaxalign.capture._linen import LinenNetwork
from jaxalign.capture._nnx import NnxNetwork, without_sown
from jaxalign.capture._passes import Pass
from jaxalign.capture._program import Call


class Network(Protocol):
    """What a model computes. Its state is what its tap takes first."""

    def split(self, state: Any) -> tuple[Any, Any]:
        """(parameters, the rest) of a state, or of a tree of the same structure."""

    def merge(self, parameters: Any, rest: Any) -> Any:
        """The state that ``split`` has split."""

    def run(
        self,
        parameters: Any,
        rest: Any,
        batch: Array,
        key: Callable[[], Array],
        layers: tuple[Filters, str] | None,
    ) -> Pass:
        """A forward pass in training.

        Args:
          parameters: of ``split``.
          rest: of ``split``.
          batch: the inputs.
          key: makes a random key, for networks that do not hold their own.
          layers: (filters, "output" or "input") to return activations of, or None.
        """


class Split(NamedTuple):
    """A model in two parts."""

    network: Network
    state: Any


TAKEN = (
    "a flax.nnx module, (flax.linen module, variables), an equinox module, "
    "(equinox module, State) or a Keras model"
)


def is_pair(model: Any) -> bool:
    """Whether this is one model of two parts, not two models."""
    if not isinstance(model, tuple) or len(model) != 2:
        return False
    module, state = model
    if isinstance(module, flax.linen.Module):
        return not isinstance(state, flax.linen.Module | tuple)
    return "equinox" in sys.modules and isinstance(state, sys.modules["equinox"].nn.State)


def for_inference(model: Any) -> Any:
    """An equinox model in inference mode; others say how they are called, or are by themselves."""
    if "equinox" not in sys.modules:
        return model
    equinox = sys.modules["equinox"]
    if isinstance(model, equinox.Module):
        return equinox.nn.inference_mode(model)
    if is_pair(model) and isinstance(model[0], equinox.Module):
        return equinox.nn.inference_mode(model[0]), model[1]
    return model


def split_model(model: Any, call: Call | None) -> Split:
    """What a model computes, and its arrays.

    Args:
      model: one of ``TAKEN``.
      call: how it is called: (model, batch) → outputs; None is as its framework does.

    Raises:
      TypeError: another kind.
      ValueError: variables without parameters; a Keras model that is not built, or adds losses.
    """
    match model:
        case nnx.Module():
            graph, state = without_sown(model)
            return Split(NnxNetwork(graph, call), state)
        case (flax.linen.Module() as module, variables):
            own = LinenNetwork.state(variables)
            if "params" not in own:
                raise ValueError(
                    'variables of the model must hold "params", found '
                    f'{list(own)}; pass {{"params": parameters, ...}}'
                )
            return Split(LinenNetwork(module, call), own)
        case flax.linen.Module():
            raise TypeError(
                "model must come with its variables, found a flax.linen module alone; pass "
                "(module, variables), with variables = module.init(key, inputs)"
            )
    if "equinox" in sys.modules:
        from jaxalign.capture import _equinox

        if _equinox.is_model(model) or is_pair(model):
            return Split(*_equinox.split(model, call))
    if "keras" in sys.modules:
        from jaxalign.capture import _keras

        if isinstance(model, _keras.Model):
            return Split(*_keras.split(model, call))
    if isinstance(model, type):
        raise TypeError(
            f"model must be an instance, found the class {model.__name__}; build it, as in "
            f"{model.__name__}(..., rngs=nnx.Rngs(0))"
        )
    raise TypeError(
        f"model must be {TAKEN}, found {found(model)}; build one, or update parameters in a loop "
        "of your own and measure them by observe"
    )
