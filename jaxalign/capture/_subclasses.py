"""A subclass of a layer's type that marks its value: instances of a copy are given it.

No user class changes. A subclass adds no attribute, so containers keep their length and structure,
and it passes through jit, scan and others inside the model.
"""

import types
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, NamedTuple

from jaxalign.capture._marks import call_marked, mark
from jaxalign.capture._program import Program, same_equations

UNMARKED = "unmarked"
"""In place of "output" or "input": subclasses that mark nothing."""


class Kind(NamedTuple):
    """What the layers of a framework have in common.

    Attributes:
      parameters: layer → its arrays.
      mark: as ``mark``, for what the framework's layers take and return.
      settings: type of layer → keywords to make a subclass with.
    """

    parameters: Callable[[Any], list]
    mark: Callable[[Any, str, list], Any] = mark
    settings: Callable[[Any], dict[str, Any]] = lambda layer: {}


@cache
def marking(layer: Any, name: str, at: str, kind: Kind) -> type:
    """A subclass of ``layer`` that marks the output of its ``__call__``, or the first argument.

    The same for each call, so that what is compiled inside a model is used again.
    """

    # Containers look at the signature.
    @wraps(layer.__call__)
    def __call__(self, *args, **kwargs):
        def call(*args, **kwargs):
            return layer.__call__(self, *args, **kwargs)

        if at == UNMARKED:
            return call(*args, **kwargs)
        return call_marked(call, args, kwargs, at, name, kind.parameters(self), kind.mark)

    body = {"__call__": __call__, "__module__": layer.__module__}
    settings = kind.settings(layer)
    return types.new_class(layer.__name__, (layer,), settings, lambda names: names.update(body))


def require_same(plain: Program, with_subclasses: Program) -> None:
    """Raise if a model tells a layer from an instance of its subclass."""
    if not same_equations(plain, with_subclasses):
        raise ValueError(
            "model computes something else when its layers are instances of subclasses, as those "
            "of a tap are; use isinstance(layer, kind) in place of type(layer) is kind"
        )
