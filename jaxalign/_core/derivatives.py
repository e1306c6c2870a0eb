"""Derivatives that are not there, refused by an error that says what to differentiate instead."""

from collections.abc import Callable
from typing import NoReturn

import jax

ONLY_ONCE = (
    "there are first derivatives in reverse mode only, as by jax.grad; "
    "for second ones take differences of the gradient"
)


def without_derivative(function: Callable, reason: str, static: tuple[int, ...] = ()) -> Callable:
    """``function`` of arrays, for which jax's own derivative would be an error that explains
    nothing, or wrong.

    Args:
      function: positions ``static`` of its arguments hold no arrays.
      reason: the message of the TypeError in place of a derivative.
      static: as ``nondiff_argnums`` of jax.
    """
    guarded = jax.custom_jvp(function, nondiff_argnums=static)

    def refuse(*_: object) -> NoReturn:
        raise TypeError(reason)

    guarded.defjvp(refuse)
    return guarded
