"""Anything with init and update as one kind of optimizer, which may ask for the loss again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxalign._core.checks import as_program_numbers
from jaxalign._core.kinds import found
from jaxalign._core.known import is_concrete

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
    """The optimizer as one that takes all ``extra_arguments``; it is given those it takes.

    Raises:
      TypeError: no optimizer.
      ValueError: on init or update, what it cannot do for a model's parameters.
    """
    if isinstance(optimizer, optax.MultiSteps):
        optimizer = optimizer.gradient_transformation()
    if not is_optimizer(optimizer):
        raise TypeError(
            f"optimizer must have init and update, found {found(optimizer)}; "
            "pass an optax transformation, or a function of hyperparameters that makes one"
        )

    def init(params: Any) -> Any:
        with _named("init"):
            state = optimizer.init(params)
            for leaf in jax.tree.leaves(state):
                if not isinstance(leaf, Array):
                    as_program_numbers(leaf, "its state")
        return state

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        with _named("update"):
            moves, state = _offered(optimizer.update, (updates, state, params), extra)
            given, returned = (str(jax.tree.structure(x)) for x in (updates, moves))
            if returned != given:
                raise ValueError(f"it returns {found(moves)} of another structure as updates")
        return moves, state

    return optax.GradientTransformationExtraArgs(init, update)


def _offered(update: Callable[..., Any], arguments: tuple, extra: dict[str, Any]) -> Any:
    """The result of an update with those extra arguments that it takes: what it refuses by name is
    withdrawn. A signature does not tell them, since chains and wrappers hand everything on.
    """
    try:
        return update(*arguments, **extra)
    except TypeError as error:
        kept = {name: x for name, x in extra.items() if repr(name) not in str(error)}
        if len(kept) == len(extra):
            raise
    return _offered(update, arguments, kept)


@contextmanager
def _named(method: str) -> Iterator[None]:
    """Whatever an optimizer raises while it is traced says that it is the optimizer."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).partition("\n\n")[0].split())
        raise ValueError(
            f"optimizer cannot train this model, its {method} raises {type(error).__name__}: "
            f"{reason:.300}; it must update parameters in the structure that the model has them, "
            "by the gradient of a batch and the extra arguments value, grad, value_fn, obj_fn and "
            "grad_fn (optax.lookahead, say, keeps two copies of parameters, and "
            "optax.contrib.dpsgd takes the gradient of each sample, for a loop of your own)"
        ) from error


def ascent(derivative: Any) -> Any:
    """The direction in which a loss grows, of what ``jax.grad`` gives: of complex parameters the
    conjugate, of real ones the same.
    """
    return jax.tree.map(jnp.conj, derivative)


def extra_arguments(
    loss: ArrayLike, gradient: Any, loss_of: Callable[[Any], Array]
) -> dict[str, Any]:
    """What optimizers of optax may ask for beside the gradient.

    Step-size rules (``optax.polyak_sgd``, ``optax.contrib.reduce_on_plateau``) read ``value``, line
    searches (``optax.lbfgs``) call ``value_fn``, ``optax.contrib.sophia`` calls it ``obj_fn``, and
    ``optax.contrib.sam`` calls ``grad_fn``.

    Args:
      loss: of the parameters.
      gradient: of the parameters.
      loss_of: the loss of other parameters, on the same batch.
    """

    def gradient_at(parameters: Any, step: Any) -> Any:
        return ascent(jax.grad(loss_of)(parameters))

    return {
        "value": loss,
        "grad": gradient,
        "value_fn": loss_of,
        "obj_fn": loss_of,
        "grad_fn": gradient_at,
    }


def one_of(
    transformations: Sequence[optax.GradientTransformation],
) -> Callable[[Any], optax.GradientTransformation]:
    """Select an optimizer by (traced) index, so that vmapped models can each use a different one.

    Args:
      transformations: the optimizers to choose from.

    Returns:
      A function of the index, from 0, that makes an optimizer, for ``fit(...,
      hyperparameters=indices)``. A traced index outside the range gives updates of NaN.

    Raises:
      ValueError: no transformations; by the function, an index outside the range.
      TypeError: by the function, an index that is no whole number.

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
    if not members:
        raise ValueError("transformations must hold at least one optimizer, found none")

    def with_index(index: Any) -> optax.GradientTransformationExtraArgs:
        _require_index(index, len(members))

        def init(parameters: Any) -> tuple:
            return tuple(member.init(parameters) for member in members)

        def chosen(*moves: Array) -> Array:
            entry = jnp.stack(moves).at[index]
            return entry.get(mode="fill", wrap_negative_indices=False)

        def update(gradient: Any, states: tuple, parameters: Any = None, **extra: Any) -> Any:
            pairs = [
                member.update(gradient, state, parameters, **extra)
                for member, state in zip(members, states, strict=True)
            ]
            updates, new_states = zip(*pairs, strict=True)
            return jax.tree.map(chosen, *updates), new_states

        return optax.GradientTransformationExtraArgs(init, update)

    return with_index


def _require_index(index: Any, count: int) -> None:
    dtype = jnp.result_type(index)
    if not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(f"index must be a whole number, found one of {dtype}; pass an integer")
    if is_concrete(index) and not 0 <= int(index) < count:
        raise ValueError(
            f"index must be from 0 to {count - 1}, of {count} optimizers, found {index}"
        )
