"""Several optimizers as one, for models of one program that are each trained by another."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax


def one_of(
    transformations: Sequence[optax.GradientTransformation],
) -> Callable[[Any], optax.GradientTransformation]:
    """An optimizer by its number, which may be traced: so that networks of one program can each
    have another.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> from jaxalign.training import one_of
      >>> second = one_of([optax.sgd(1.0), optax.sgd(0.5)])(1)
      >>> second.update(jnp.ones(2), second.init(jnp.ones(2)))[0].tolist()
      [-0.5, -0.5]

    Source: ours.
    """

    def with_number(number: Any) -> optax.GradientTransformation:
        def init(parameters: Any) -> Any:
            return tuple(one.init(parameters) for one in transformations)

        def update(gradient: Any, states: Any, parameters: Any = None) -> Any:
            pairs = [
                one.update(gradient, state, parameters)
                for one, state in zip(transformations, states, strict=True)
            ]
            updates, states = zip(*pairs, strict=True)
            return jax.tree.map(lambda *each: jnp.stack(each)[number], *updates), states

        return optax.GradientTransformation(init, update)

    return with_number
