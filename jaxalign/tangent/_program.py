"""A user's function as a static argument of a compiled program."""

from typing import Any

import jax
import numpy as np

from jaxalign._core.arrays import as_numbers
from jaxalign._core.digests import digest_of_program

_KNOWN = (jax.Array, np.ndarray, np.generic, bool, int, float, complex)


class Program:
    """A function, known by what it computes now.

    By itself a function is equal to what it was, also where something that it closes over was
    replaced, as the state of BatchNorm is from step to step. Then a compiled program would go on
    with what was there at its first call.

    Args:
      function: (parameters, inputs) ↦ outputs.
      parameters, inputs: that it is called with.
    """

    def __init__(self, function: Any, parameters: Any, inputs: Any):
        self._function = function
        # Models of equinox, and data classes, have no hash.
        try:
            hash(function)
        except TypeError:
            function = id(function)
        self._key = function, digest_of_program(self._function, parameters, inputs)

    def __call__(self, parameters: Any, inputs: Any) -> Any:
        return self._function(parameters, inputs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def as_inputs(inputs: Any) -> Any:
    """Inputs with arrays of other libraries as those of numpy.

    Raises:
      TypeError: a text, or something else that is no array of numbers.
    """
    return jax.tree.map(
        lambda leaf: leaf if isinstance(leaf, _KNOWN) else as_numbers(leaf, "inputs"), inputs
    )
