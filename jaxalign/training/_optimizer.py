"""Anything with init and update as one kind of optimizer, which may ask for the loss again."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxalign._core.kinds import found

Optimizer: TypeAlias = Any
"""What has ``init`` and ``update``, as optax has it; or a function that makes one of
hyperparameters.
"""


USUAL = {"value", "grad", "value_fn"}
"""The extra arguments that an optimizer gets which takes any."""


def is_optimizer(candidate: Any) -> bool:
    """Whether it has ``init`` and ``update``."""
    return callable(getattr(candidate, "init", None)) and callable(
        getattr(candidate, "update", None)
    )


def with_extra_arguments(optimizer: Any) -> optax.GradientTransformationExtraArgs:
    """The optimizer as one that takes all ``extra_arguments``; it is given those it takes.

    Raises:
      TypeError: no optimizer.
      ValueError: on update, parameters of another structure than the optimizer is made for.
    """
    if isinstance(optimizer, optax.MultiSteps):
        optimizer = optimizer.gradient_transformation()
    if not is_optimizer(optimizer):
        raise TypeError(
            f"optimizer must have init and update, found {found(optimizer)}; "
            "pass an optax transformation, or a function of hyperparameters that makes one"
        )
    parameters = inspect.signature(optimizer.update).parameters.values()
    taken = {p.name for p in parameters}
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        # Line searches refuse what no other optimizer of a chain has asked for by name.
        taken |= USUAL

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        known = {name: x for name, x in extra.items() if name in taken}
        try:
            return optimizer.update(updates, state, params, **known)
        except (AttributeError, LookupError) as error:
            raise ValueError(
                "optimizer must update parameters in the structure that the model has them, found "
                f"one that looks for another: {error}; optax.lookahead, say, keeps two copies of "
                "them, for a loop of its own"
            ) from error

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def extra_arguments(
    loss: ArrayLike, gradient: Any, loss_of: Callable[[Any], Array]
) -> dict[str, Any]:
    """What optimizers of optax may ask for beside the gradient.

    Step-size rules (``optax.polyak_sgd``, ``optax.contrib.reduce_on_plateau``) read ``value``, line
    searches (``optax.lbfgs``) call ``value_fn``, and ``optax.contrib.sam`` calls ``grad_fn``.

    Args:
      loss: of the parameters.
      gradient: of the parameters.
      loss_of: the loss of other parameters, on the same batch.
    """

    def gradient_at(parameters: Any, step: Any) -> Any:
        return jax.grad(loss_of)(parameters)

    return {"value": loss, "grad": gradient, "value_fn": loss_of, "grad_fn": gradient_at}


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
