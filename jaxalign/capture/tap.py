"""``tap``: a model nobody edited, as a pure function that also returns its layers' activations."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flax import nnx

from jaxalign.capture.layers import as_patterns, require_all_found
from jaxalign.capture.nnx import nnx_forward

Activations = OrderedDict[str, Any]
Forward = Callable[..., tuple[Any, Activations]]


@dataclass(frozen=True)
class Tap:
    """A model's forward pass with the activations of some layers: ``tap(state, *args) -> (output, {name: activation})``.

    Pure: works under jit, vmap, grad and scan, and leaves state and model as they are (what a forward pass would
    update, such as BatchNorm's averages, is dropped). The mapping is an ``OrderedDict`` in the order in which layers
    run, an order that jit keeps; the second call of a shared layer is named ``name#2``.

    Attributes:
      layers: the glob patterns asked for.
      at: "output" or "input" of the layers.
      forward: the adapter: ``(state, *args) -> (output, activations)``.
    """

    layers: tuple[str, ...]
    at: str
    forward: Forward

    def __call__(self, state: Any, *args: Any, **kwargs: Any) -> tuple[Any, Activations]:
        output, activations = self.forward(state, *args, **kwargs)
        require_all_found(self.layers, list(activations), f"were asked for and their {self.at} was never computed")
        return output, activations


def tap(model: nnx.Module, layers: str | Sequence[str] = "*", *, at: Literal["output", "input"] = "output") -> Tap:
    """Capture layers of an unmodified model: ``tap(model)(nnx.state(model), x) -> (output, {name: activation})``.

    The input of a layer is the post-activation of the one before it, so ``at="input"`` sees what a functional
    ``nnx.relu`` returned. Every submodule is a layer, by its dotted path (``blocks.0.conv``); the model itself is not.

    Args:
      model: a flax.nnx module. Its structure is taken now, its state at each call.
      layers: glob pattern or patterns over layer names; ``*`` also spans dots.
      at: capture what the layers return, or the first argument they are given.

    Returns:
      Tap.

    Raises:
      TypeError: a model that is not a flax.nnx module.
      ValueError: a pattern that fits no layer (when tapped), or only layers that are never called (when called); the
        message lists the names there are. An unknown ``at``.

    Example:
      >>> from flax import nnx
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> model = nnx.Sequential(nnx.Linear(4, 3, rngs=nnx.Rngs(0)), nnx.relu, nnx.Linear(3, 1, rngs=nnx.Rngs(1)))
      >>> output, activations = ja.tap(model, at="input")(nnx.state(model), jnp.ones((5, 4)))
      >>> {name: a.shape for name, a in activations.items()}
      {'layers.0': (5, 4), 'layers.2': (5, 3)}

    Source: ours, on flax.nnx.capture.
    """
    if at not in ("output", "input"):
        raise ValueError(f"at must be 'output' or 'input', found {at!r}")
    if not isinstance(model, nnx.Module):
        raise TypeError(f"model must be a flax.nnx.Module, found {type(model).__name__}")
    patterns = as_patterns(layers)
    return Tap(patterns, at, nnx_forward(model, patterns, at))
