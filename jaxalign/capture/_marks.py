"""A mark names the value of a layer where it is computed, and counts the vmaps around it.

It is an identity. Every transformation keeps it in the program, so values need no way out of
transformed functions of their own: they are read off the finished program. Under ``vmap`` a jaxpr
does not say where the new axis of a value is; a mark moves it to the front and writes it down.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.interpreters import ad, batching, mlir


class Axis(NamedTuple):
    """An axis that a transformation puts before the value of a layer.

    Attributes:
      size: its length.
      transform: "vmap" or "scan".
      of_layers: whether the parameters of the layer have the axis too, so that it runs over layers;
        None where there are no parameters to tell.
    """

    size: int
    transform: str
    of_layers: bool | None

    @property
    def is_loop(self) -> bool:
        """Whether it is that of the iterations of a scan."""
        return self.transform == "scan"


mark_p = core.Primitive("layer")


def mark(value: Any, name: str, parameters: Sequence[jax.Array]) -> Any:
    """``value`` itself, marked as that of a layer with these parameters, if it is an array."""
    if not isinstance(value, jax.Array):
        return value
    return mark_p.bind(value, *parameters, name=name, axes=())


def call_marked(
    call: Callable[..., Any],
    arguments: Sequence[Any],
    settings: Mapping[str, Any],
    at: str,
    name: str,
    parameters: Sequence[Any],
    mark: Callable[..., Any] = mark,
) -> Any:
    """Call a layer with its output marked, or its first argument.

    Args:
      call: of the layer.
      arguments: of the call.
      settings: of the call.
      at: "output" or "input".
      name: of the layer.
      parameters: of the layer.
      mark: marks a value, for frameworks whose layers return more than an array.
    """
    arrays = [leaf for leaf in jax.tree.leaves(parameters) if isinstance(leaf, jax.Array)]
    if at == "output":
        return mark(call(*arguments, **settings), name, arrays)
    if arguments:
        first, *others = arguments
        return call(mark(first, name, arrays), *others, **settings)
    marked = dict(settings)
    for keyword, value in list(marked.items())[:1]:
        marked[keyword] = mark(value, name, arrays)
    return call(**marked)


def _first(value: Any, *parameters: Any, **settings: Any) -> Any:
    return value


def _lowered(context: Any, value: Any, *parameters: Any, **settings: Any) -> list:
    return [value]


def _differentiated(primals: Sequence[Any], tangents: Sequence[Any], **settings: Any) -> tuple:
    return mark_p.bind(*primals, **settings), tangents[0]


def _batched(
    operands: Sequence[Any], places: Sequence[int | None], *, name: str, axes: tuple[Axis, ...]
) -> tuple[Any, int | None]:
    value, *parameters = operands
    place, *others = places
    over_layers = [x.shape[at] for x, at in zip(parameters, others, strict=True) if at is not None]
    if place is None and over_layers:
        # The same input for several layers: the program goes on with it, and each layer has it.
        copies = jnp.broadcast_to(value, (over_layers[0], *value.shape))
        _batched((copies, *parameters), (0, *others), name=name, axes=axes)
        return value, None
    if place is None:
        return mark_p.bind(*operands, name=name, axes=axes), None
    of_layers = None
    if parameters:
        of_layers = bool(over_layers)
    axis = Axis(value.shape[place], "vmap", of_layers)
    moved = jnp.moveaxis(value, place, 0)
    return mark_p.bind(moved, *parameters, name=name, axes=(axis, *axes)), 0


mark_p.def_impl(_first)
mark_p.def_abstract_eval(_first)
mlir.register_lowering(mark_p, _lowered)
ad.primitive_jvps[mark_p] = _differentiated
batching.primitive_batchers[mark_p] = _batched
