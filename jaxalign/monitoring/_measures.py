"""What a monitor can log of a layer: a function, and what of the layer it is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np

from jaxalign.alignment import aligned_rank, alignment_area
from jaxalign.learning import gcv, learning_curve, predicted_convergence, sample_complexity

Source = Literal[
    "spectrum", "null", "quadrature", "moments", "features", "activations", "outputs", "pair"
]

TargetsAs = Literal["mean", "each"]

_OF_EACH_TARGET: frozenset[Callable[..., Any]] = frozenset(
    {alignment_area, aligned_rank, gcv, learning_curve, predicted_convergence, sample_complexity}
)
"""Measures of this package that give one value a target."""

_ON_QUADRATURE = frozenset({alignment_area})
"""Those among them that hold for the nodes of a quadrature: linear in the energies."""


@dataclass(frozen=True, eq=False)
class Measure:
    """A function of one layer, and what it is given of it. Made by the ``of_...`` wrappers.

    Attributes:
      function: of what ``source`` names.
      source: "spectrum", "null", "quadrature", "moments", "features", "activations", "outputs" or
        "pair".
      coordinates: {axis name: its values}, for the leading axes of what the function returns.
      with_targets: whether the function also gets the targets (n, k), as its second argument.
      of_each_target: whether its last axis is that of the targets.
      on_quadrature: whether it holds for the nodes of a quadrature, too.
      reference: of a pair, the second representation.
    """

    function: Callable[..., Any]
    source: Source
    coordinates: Mapping[str, np.ndarray] = field(default_factory=dict)
    with_targets: bool = False
    of_each_target: bool = False
    on_quadrature: bool = False
    reference: Any = None

    @property
    def is_with_previous(self) -> bool:
        """Whether it compares a layer with the one before."""
        return isinstance(self.reference, str) and self.reference == "previous"

    @property
    def is_with_start(self) -> bool:
        """Whether it compares a layer with itself at step 0."""
        return isinstance(self.reference, str) and self.reference == "start"


def as_measure(measure: Measure | Callable[..., Any]) -> Measure:
    """A bare function as the measure of a Spectrum that it is."""
    if isinstance(measure, Measure):
        return measure
    return Measure(
        measure,
        "spectrum",
        of_each_target=is_of_each_target(measure),
        on_quadrature=_is_one_of(measure, _ON_QUADRATURE),
    )


def is_of_each_target(function: Callable[..., Any]) -> bool:
    """Whether it is a measure of this package that gives one value a target."""
    return _is_one_of(function, _OF_EACH_TARGET)


def _is_one_of(function: Callable[..., Any], functions: frozenset[Callable[..., Any]]) -> bool:
    """Also where some of its arguments are fixed by ``functools.partial``."""
    while isinstance(function, partial):
        function = function.func
    return any(function is one for one in functions)
