"""Anything with init and update as one kind of optimizer, which may ask for the loss again."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax

from jaxalign._core.kinds import found

Optimizer: TypeAlias = Any
"""What has ``init`` and ``update``, as optax has it; or a function that makes one of
hyperparameters.
"""


def is_optimizer(candidate: Any) -> bool:
    """Whether it has ``init`` and ``update``."""
    return callable(getattr(candidate, "init", None)) and callable(
        getattr(candidate, "update", None)
    )


def with_extra_arguments(optimizer: Any) -> optax.GradientTransformationExtraArgs:
    """The optimizer as one that takes ``value``, ``grad`` and ``value_fn``; it may ignore them.

    Line searches (``optax.lbfgs``) call ``value_fn``; ``optax.polyak_sgd`` and
    ``optax.contrib.reduce_on_plateau`` read ``value``. Others are not given what they do not take.
    """
    if isinstance(optimizer, optax.MultiSteps):
        return optimizer.gradient_transformation()
    if isinstance(optimizer, optax.GradientTransformation):
        return optax.with_extra_args_support(optimizer)
    if not is_optimizer(optimizer):
        raise TypeError(
            f"optimizer must have init and update, found {found(optimizer)}; "
            "pass an optax transformation, or a function of hyperparameters that makes one"
        )
    parameters = inspect.signature(optimizer.update).parameters.values()
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    taken = {p.name for p in parameters}

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        known = extra if takes_all else {k: v for k, v in extra.items() if k in taken}
        return optimizer.update(updates, state, params, **known)

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def one_of(
    transformations: Sequence[optax.GradientTransformation],
) -> Callable[[Any], optax.GradientTransformation]:
    """Select an optimizer by (traced) index, so that vmapped models can each use a different one.

    Args:
      transformations: the optimizers to choose from.

    Returns:
      A function of the index that makes an optimizer, for ``fit(..., hyperparameters=indices)``.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> from jaxalign.training import one_of
      >>> second = one_of([optax.sgd(1.0), optax.sgd(0.5)])(1)
      >>> second.update(jnp.ones(2), second.init(jnp.ones(2)))[0].tolist()
      [-0.5, -0.5]

    Source: ours.
    """
    members = [with_extra_arguments(one) for one in transformations]

    def with_index(index: Any) -> optax.GradientTransformationExtraArgs:
        def init(parameters: Any) -> tuple:
            return tuple(member.init(parameters) for member in members)

        def update(gradient: Any, states: tuple, parameters: Any = None, **extra: Any) -> Any:
            pairs = [
                member.update(gradient, state, parameters, **extra)
                for member, state in zip(members, states, strict=True)
            ]
            updates, new_states = zip(*pairs, strict=True)
            return jax.tree.map(lambda *each: jnp.stack(each)[index], *updates), new_states

        return optax.GradientTransformationExtraArgs(init, update)

    return with_index
