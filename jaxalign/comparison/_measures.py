"""What is measured of each pair of layers, and what chance gives it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from jax import Array

from jaxalign.similarity import linear_cka


@dataclass(frozen=True)
class Measure:
    """A measure of two representations.

    Attributes:
      function: of two arrays (n, p) and (n, q), and of PairMoments alone where ``of_moments``.
      name: for people.
      least: how many rows it needs.
      of_moments: whether PairMoments are enough.
      is_distance: whether less means more alike.
      is_share: whether it lies between 0 and 1, but for noise.
      unit_rows: whether rows are scaled to length one before.
      chance: its mean over all permutations of the rows, of the arguments that ``function`` takes,
        where it is known; of linear CKA the whole distribution is.
    """

    function: Callable[..., Array]
    name: str
    least: int = 2
    of_moments: bool = False
    is_distance: bool = False
    is_share: bool = True
    unit_rows: bool = False
    chance: Callable[..., Any] | None = None

    @property
    def cka_estimator(self) -> str | None:
        """The estimator of ``linear_cka``; None for other measures."""
        function: Any = self.function
        if function is linear_cka:
            return "biased"
        if isinstance(function, partial) and function.func is linear_cka:
            return function.keywords.get("estimator", "biased")
        return None


DEBIASED_CKA = Measure(
    partial(linear_cka, estimator="debiased"), "linear CKA, debiased", least=4, of_moments=True
)
"""What is compared by default."""


def zero(*_: Any) -> float:
    """The mean of what is unbiased."""
    return 0.0
