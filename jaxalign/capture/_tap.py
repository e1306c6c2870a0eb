"""``tap``: an unmodified model as a pure function that also returns its layers' activations."""

import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import flax.linen
from flax import nnx

from jaxalign._core.kinds import found, require_choice, require_function, require_kind
from jaxalign.capture._filters import Filter, Filters, as_filters
from jaxalign.capture._linen import linen_forward
from jaxalign.capture._nnx import nnx_forward
from jaxalign.capture._program import Call
from jaxalign.capture._tags import function_forward

Activations = OrderedDict[str, Any]
Forward = Callable[..., tuple[Any, Activations]]


@dataclass(frozen=True)
class Tap:
    """A forward pass with activations: ``tap(state, *args) -> (output, {name: activation})``.

    It is pure: it works under jit, vmap, grad and scan, and does not change state or model (updates
    of a forward pass, such as BatchNorm's averages, are dropped). The mapping is an ``OrderedDict``
    in the order in which layers run, which jit keeps. The second call of a shared layer is named
    ``name#2``; layers of a scan, or of a vmap over layers, are ``name[0]``, ``name[1]``, ...

    Attributes:
      layers: the filters.
      at: "output" or "input" of the layers.
      forward: the adapter: ``(state, *args) -> (output, activations)``.
    """

    layers: Filters
    at: str
    forward: Forward

    def __call__(self, state: Any, *args: Any, **kwargs: Any) -> tuple[Any, Activations]:
        return self.forward(state, *args, **kwargs)


def require_tap(tap: Any) -> None:
    """Raise unless this is a Tap."""
    require_kind(tap, Tap, "tap", "pass tap(model, layers)")


def tap(
    model: Any,
    layers: Filter | Sequence[Filter] = "*",
    *,
    at: Literal["output", "input"] = "output",
    call: Call | None = None,
) -> Tap:
    """Capture layers of a model: ``tap(model)(state, x) -> (output, {name: activation})``.

    Every submodule is a layer, named by its dotted path (``blocks.0.conv``); the model itself is
    not. The input of a layer is the post-activation of the layer before, so ``at="input"`` captures
    the results of a functional ``relu``.

    Args:
      model: a module of flax.nnx, flax.linen, equinox or Keras (on JAX), or a function. The
        structure is taken now, the state at each call:

        - flax.nnx: ``tap(model)(nnx.state(model), x)``.
        - flax.linen: ``tap(module)(variables, x, ...)``, with the arguments of ``apply``.
        - equinox: ``tap(model)(model, x)``, or ``eqx.filter(model, eqx.is_array)`` in place of the
          model. It is called as ``jax.vmap(model, axis_name="batch")(x)``; an ``eqx.nn.State`` is
          passed whole, random keys are one per sample.
        - Keras: ``tap(model)((model.trainable_variables, model.non_trainable_variables), x)``, or
          the values of these; names are those of the layers.
        - A function takes (parameters, ...); its layers are the values that it passes through
          ``tag``.
      layers: a glob pattern over layer names, in which ``*`` also matches dots; a type
        (``nnx.Conv``); a predicate of (name, layer); or a list of these, of which a layer has to
        fit one.
      at: capture the output of the layers, or their first argument.
      call: how a module is called, if not as above: (model, ...) → output, as in
        ``call=lambda model, x: model.encode(x)``.

    Returns:
      Tap. Layers whose value is not an array (a tuple, say) are left out. Each activation has the
      samples first, whatever vmap, scan, jit or checkpoint the layer is in. The model is traced, as
      by ``jax.jit``.

    Raises:
      TypeError: another kind of model or filter; when called, a model that branches in Python on
        the values of arrays.
      ValueError: a filter that fits no layer (for linen modules and functions, when called), or
        only layers that are never called (when called); the message lists the names. A layer
        inside ``cond`` or ``while_loop``. An unknown ``at``; "input" or ``call`` for a function.

    Example:
      >>> from flax import nnx
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> rngs = nnx.Rngs(0)
      >>> model = nnx.Sequential(nnx.Linear(4, 3, rngs=rngs), nnx.relu, nnx.Linear(3, 1, rngs=rngs))
      >>> tap = ja.tap(model, nnx.Linear, at="input")
      >>> output, activations = tap(nnx.state(model), jnp.ones((5, 4)))
      >>> {name: a.shape for name, a in activations.items()}
      {'layers.0': (5, 4), 'layers.2': (5, 3)}

    Source: flax.linen.intercept_methods and jax.ad_checkpoint.checkpoint_name.
    """
    require_choice(at, ("output", "input"), "at")
    if call is not None:
        require_function(call, "call", "pass a function of (model, ...)")
    filters = as_filters(layers)
    adapter = _adapter(model)
    if adapter is not None:
        return Tap(filters, at, adapter(model, filters, at, call))
    if isinstance(model, type):
        raise TypeError(
            f"model must be an instance, found the class {model.__name__}; build it first"
        )
    if not callable(model) or _is_of_another_framework(model):
        raise TypeError(
            "model must be a module of flax.nnx, flax.linen, equinox or Keras, or a function, "
            f"found {found(model)}"
        )
    for name, is_set in (("at='input'", at == "input"), ("call", call is not None)):
        if is_set:
            raise ValueError(
                f"{name} is for the layers of a module; of a function tag the value that is meant"
            )
    return Tap(filters, at, function_forward(model, filters))


def _adapter(model: Any) -> Callable[..., Forward] | None:
    """What captures the layers of a model of this framework; None for any other."""
    match model:
        case nnx.Module():
            return nnx_forward
        case flax.linen.Module():
            return linen_forward
    # A model of these can only be there if they were imported.
    if "equinox" in sys.modules:
        from jaxalign.capture import _equinox

        if _equinox.is_model(model):
            return _equinox.equinox_forward
    if "keras" in sys.modules:
        from jaxalign.capture import _keras

        if isinstance(model, _keras.Model):
            return _keras.keras_forward
    return None


def _is_of_another_framework(model: Any) -> bool:
    """Whether its layers are not functions of jax, though it can be called."""
    packages = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    return bool(packages & {"torch", "tensorflow"})
