"""What a tapped model is called with first, its arrays: checked before the model runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import flax.errors
import flax.linen as nn
from flax import nnx

from jaxalign._core.kinds import found

LISTED = 3
"""So many names of arrays are shown in a message."""


def names_of(state: nnx.State) -> list[str]:
    """The dotted names of a model's arrays, in the order in which they are merged."""
    return [".".join(map(str, path)) for path, _ in nnx.to_flat_state(state)]


def nnx_state(state: Any, expected: list[str]) -> nnx.State:
    """The state of a flax.nnx model, without what the model has sown.

    Raises:
      TypeError: no state: the model itself, an array, the state of a training loop.
      ValueError: the state of another model, or a part of the model's own.
    """
    if not isinstance(state, Mapping):
        remedy = "pass nnx.state(model)"
        if hasattr(state, "model"):
            remedy = "pass its model, as in state.model"
        raise TypeError(f"state must be that of a flax.nnx model, found {found(state)}; {remedy}")
    arrays = nnx.State(dict(state))
    # The state may be that of a model before its first call, or after it.
    arrays = nnx.filter_state(arrays, nnx.Not(nnx.Intermediate))
    names = names_of(arrays)
    # They are merged by position, so those of another model might pass.
    if names != expected:
        missing = listed([name for name in expected if name not in names])
        others = listed([name for name in names if name not in expected])
        raise ValueError(
            "state must hold the arrays of the model that was tapped, parameters and the rest; "
            f"missing are {missing}, not of the model are {others}; pass nnx.state(model)"
        )
    return arrays


def require_variables(variables: Any) -> None:
    """Raise unless these can be the variables of a flax.linen module.

    Raises:
      TypeError: the module itself, an array, parameters alone, the state of a training loop.
    """
    remedy = 'pass {"params": parameters, ...}, as module.init returns it'
    if isinstance(variables, nn.Module | nnx.State) or not isinstance(variables, Mapping):
        if hasattr(variables, "params"):
            remedy = 'pass {"params": state.params}'
        raise TypeError(
            f"variables must be those of a flax.linen module, found {found(variables)}; {remedy}"
        )
    if not all(isinstance(collection, Mapping) for collection in variables.values()):
        raise TypeError(
            "variables must be collections of arrays by name, found arrays at "
            f"{list(variables)}; {remedy}"
        )


@contextmanager
def missing_variables(given: Sequence[str]) -> Iterator[None]:
    """Says what variables a flax.linen module lacks, where flax names its own scopes.

    Raises:
      ValueError: parameters alone, or variables of another module.
    """
    try:
        yield
    except (flax.errors.ScopeCollectionNotFound, flax.errors.ScopeParamNotFoundError) as error:
        message = str(error).partition(" (http")[0]
        raise ValueError(
            "variables must be those of the module that was tapped, as module.init returns them, "
            f'found {given}; pass {{"params": parameters, ...}}. flax says: {message}'
        ) from None


def listed(names: list[str]) -> str:
    """The first of some names, for a message."""
    if not names:
        return "none"
    return ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")
