"""``tap``: a model nobody edited, as a pure function that also returns its layers' activations."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import flax.linen
from flax import nnx

from jaxalign.capture._filters import Filter, Filters, as_filters
from jaxalign.capture._linen import linen_forward
from jaxalign.capture._nnx import nnx_forward
from jaxalign.capture._tags import reap

Activations = OrderedDict[str, Any]
Forward = Callable[..., tuple[Any, Activations]]


@dataclass(frozen=True)
class Tap:
    """A model's forward pass with the activations of some layers: ``tap(state, *args) -> (output,
    {name: activation})``.

    Pure: works under jit, vmap, grad and scan, and leaves state and model as they are (what a
      forward pass would
    update, such as BatchNorm's averages, is dropped). The mapping is an ``OrderedDict`` in the
    order in which layers run, an order that jit keeps; the second call of a shared layer is named
    ``name#2``.

    Attributes:
      layers: the filters asked for.
      at: "output" or "input" of the layers.
      forward: the adapter: ``(state, *args) -> (output, activations)``.
    """

    layers: Filters
    at: str
    forward: Forward

    def __call__(self, state: Any, *args: Any, **kwargs: Any) -> tuple[Any, Activations]:
        return self.forward(state, *args, **kwargs)


def tap(
    model: nnx.Module | flax.linen.Module | Callable[..., Any],
    layers: Filter | Sequence[Filter] = "*",
    *,
    at: Literal["output", "input"] = "output",
) -> Tap:
    """Capture layers of an unmodified model: ``tap(model)(state, x) -> (output, {name:
    activation})``.

    The input of a layer is the post-activation of the one before it, so ``at="input"`` sees what a
    functional ``relu`` returned. Every submodule is a layer, by its dotted path
    (``blocks.0.conv``); the model itself is not.

    Args:
      model: a flax.nnx module (its structure is taken now, its state at each call:
        ``tap(model)(nnx.state(model), x)``); a flax.linen module, called as
        ``tap(module)(variables, x, ...)`` with what ``apply`` takes; or any function of
        (parameters, ...), whose layers are the values it passes through ``tag``.
      layers: which ones: a glob pattern over layer names, in which ``*`` also spans dots; a type
        (``nnx.Conv``); a predicate of (name, layer); or a list of these, of which each layer has to
        fit one.
      at: capture what the layers return, or the first argument they are given.

    Returns:
      Tap. A layer whose value is no array (a tuple, say) is left out.

    Raises:
      TypeError: a model or a filter that is none of these.
      ValueError: a filter that fits no layer (when tapped; when called, for linen modules and
        functions), or only layers that are never called (when called), with the names there are; a
        linen layer in a scan that drops what it sows; an unknown ``at``, or "input" for a function.

    Example:
      >>> from flax import nnx
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> model = nnx.Sequential(nnx.Linear(4, 3, rngs=nnx.Rngs(0)), nnx.relu, nnx.Linear(3, 1, rngs=nnx.Rngs(1)))
      >>> output, activations = ja.tap(model, nnx.Linear, at="input")(nnx.state(model), jnp.ones((5, 4)))
      >>> {name: a.shape for name, a in activations.items()}
      {'layers.0': (5, 4), 'layers.2': (5, 3)}

    Source: ours, on flax.nnx.capture, flax.linen.intercept_methods and
      jax.ad_checkpoint.checkpoint_name.
    """
    if at not in ("output", "input"):
        raise ValueError(f"at must be 'output' or 'input', found {at!r}")
    filters = as_filters(layers)
    match model:
        case nnx.Module():
            return Tap(filters, at, nnx_forward(model, filters, at))
        case flax.linen.Module():
            return Tap(filters, at, linen_forward(model, filters, at))
        case type():
            raise TypeError(
                f"model must be an instance, found the class {model.__name__}; build it first"
            )
        case _ if callable(model):
            if at == "input":
                raise ValueError(
                    "at='input' is for the layers of a module; of a function tag the value that is meant"
                )
            return Tap(filters, at, reap(model, filters))
    raise TypeError(
        f"model must be a flax.nnx or flax.linen module, or a function, found {type(model).__name__}"
    )
