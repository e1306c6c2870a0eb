"""A model that is ready to be tapped, and what is known about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxalign.capture import tap

INITIAL = "initial"
"""How the weights of a shipped architecture are called that nobody trained."""


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode, ready to be tapped.

    Attributes:
      model: as ``tap`` takes it.
      state: as the tap takes it.
      name: for people.
      weights: where its weights come from, for people.
      preprocess: from images of bytes to its inputs, if it is known.
      notes: what to bear in mind about it.
      padding: the id of the tokens of its inputs that are not part of a text; None where there are
        no such.
    """

    model: Any
    state: Any
    name: str
    weights: str
    preprocess: Callable[[Sequence[np.ndarray]], Any] | None = None
    notes: tuple[str, ...] = ()
    padding: int | None = None

    @property
    def is_initial(self) -> bool:
        """Whether nothing has been learned yet."""
        return self.weights.startswith(INITIAL)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers a paper would plot, if the model says which; else all."""
        return tuple(getattr(self.model, "post_activations", ("*",)))

    @property
    def mask(self) -> Callable[..., Any] | None:
        """From inputs to (n, t) booleans, False for padding."""
        if self.padding is None:
            return None
        return partial(jnp.not_equal, self.padding)

    def __call__(self, state: Any, x: Any) -> Any:
        """The model as a function."""
        if isinstance(self.model, nnx.Module):
            return nnx.merge(nnx.graphdef(self.model), state)(x)
        if isinstance(self.model, flax.linen.Module):
            return self.model.apply(state, x)
        return tap(self.model)(state, x)[0]
