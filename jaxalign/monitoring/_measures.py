"""What a monitor can log of a layer: a function, and what of the layer it is given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from jax.typing import ArrayLike

from jaxalign._core.checks import as_thresholds
from jaxalign._core.kinds import as_count, require_flag, require_kind
from jaxalign.alignment import (
    aligned_rank,
    alignment_area,
    alignment_curve,
    usual_thresholds,
)
from jaxalign.learning import gcv, learning_curve, predicted_convergence, sample_complexity

Source = Literal[
    "spectrum", "null", "quadrature", "moments", "features", "activations", "outputs", "pair"
]

TargetsAs = Literal["mean", "each"]

GRID = 64
"""Values of τ of the whole curve, by default."""

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


Coordinates = Mapping[str, ArrayLike] | None


def of_spectrum(function: Callable[..., Any], *, coordinates: Coordinates = None) -> Measure:
    """A measure of the layer's Spectrum, as a bare function is, with names for its axes.

    Example:
      >>> import jaxalign as ja
      >>> from jaxalign.monitoring import of_spectrum
      >>> top = of_spectrum(lambda s: s.singular_values[:3], coordinates={"direction": [1, 2, 3]})
      >>> top.coordinates["direction"].tolist()
      [1, 2, 3]
    """
    return Measure(function, "spectrum", _axes(coordinates))


def of_null(function: Callable[..., Any], *, coordinates: Coordinates = None) -> Measure:
    """A measure of the layer's permutation null, a Spectrum from the same decomposition."""
    return Measure(
        function,
        "null",
        _axes(coordinates),
        of_each_target=_is_one_of(function, _OF_EACH_TARGET),
    )


def of_quadrature(function: Callable[..., Any], *, coordinates: Coordinates = None) -> Measure:
    """A measure of the layer's Quadrature, with ``method="quadrature"``: bounds, for instance."""
    return Measure(function, "quadrature", _axes(coordinates))


def of_moments(function: Callable[..., Any], *, coordinates: Coordinates = None) -> Measure:
    """A measure of the Moments of the layer's Φ and the targets."""
    return Measure(function, "moments", _axes(coordinates))


def of_features(
    function: Callable[..., Any], *, targets: bool = False, coordinates: Coordinates = None
) -> Measure:
    """A measure of the layer's pooled activations (n, d), without bias column and unit rows.

    Args:
      function: of the features; with ``targets``, of (features, targets).
      targets: whether it gets the targets (n, k), too.
      coordinates: {axis name: its values}.

    Example:
      >>> from jaxalign.monitoring import of_features
      >>> of_features(lambda x: (x > 0).mean()).source
      'features'
    """
    return Measure(function, "features", _axes(coordinates), with_targets=targets)


def of_activations(
    function: Callable[..., Any], *, targets: bool = False, coordinates: Coordinates = None
) -> Measure:
    """A measure of the layer's activations (n, ...) as they were captured."""
    return Measure(function, "activations", _axes(coordinates), with_targets=targets)


def of_outputs(
    function: Callable[..., Any], *, targets: bool = False, coordinates: Coordinates = None
) -> Measure:
    """A measure of the model's outputs; it is logged under the layer "outputs"."""
    return Measure(function, "outputs", _axes(coordinates), with_targets=targets)


def of_pair(
    function: Callable[..., Any],
    *,
    reference: Literal["start", "previous"] | ArrayLike | Mapping[str, ArrayLike],
    coordinates: Coordinates = None,
) -> Measure:
    """A measure of two representations of the same samples: f(features, reference features).

    Both are pooled (n, d), without bias column and unit rows. "input" has none.

    Args:
      function: of two matrices with as many rows.
      reference: "start", the same layer at step 0 (known to ``fit``; elsewhere
        ``monitor.starting_from(state)``); "previous", the layer before, of the first layer the
        inputs; or a fixed matrix (n, d), or {layer: matrix}, of these layers alone.
      coordinates: {axis name: its values}.

    Raises:
      ValueError: a reference by another name. A monitor refuses one of a layer that it lacks.
    """
    if isinstance(reference, str) and reference not in ("start", "previous"):
        raise ValueError(
            "reference must be 'start', 'previous', a matrix or {layer: matrix}, "
            f"found {reference!r}"
        )
    return Measure(function, "pair", _axes(coordinates), reference=reference)


def curve(thresholds: ArrayLike, *, null: bool = False) -> Measure:
    """The measure A(τ) at every threshold, of the targets or of the permutation null.

    Args:
      thresholds: (t,) values of τ, in the units of the singular values.
      null: of the permutation null.

    Raises:
      ValueError: thresholds empty, not of shape (t,), or not finite.

    Example:
      >>> from jaxalign.monitoring import curve
      >>> curve([1.0, 2.0]).coordinates["tau"].tolist()
      [1.0, 2.0]
    """
    require_flag(null, "null")
    tau = as_thresholds(thresholds)
    return Measure(
        partial(alignment_curve, thresholds=tau),
        "null" if null else "spectrum",
        {"tau": tau},
        of_each_target=True,
        on_quadrature=not null,
    )


def alignment_measures(
    num_samples: int,
    *,
    thresholds: Sequence[float] | ArrayLike | None = None,
    grid: ArrayLike | None = None,
    null: bool = True,
) -> dict[str, Measure]:
    """The measures that a monitor logs unless told otherwise.

    Args:
      num_samples: n, the number of samples measured: no singular value exceeds √n.
      thresholds: (m,) τ of "alignment"; by default ``usual_thresholds(n)``.
      grid: (g,) τ of the curves; by default 64 values evenly spaced on [0, √n].
      null: whether to log what chance gives, as "null_area" and "null_curve".

    Returns:
      {"area", "alignment", "curve"}, with the null also {"null_area", "null_curve"}.

    Raises:
      ValueError: thresholds or grid empty, not of shape (t,), or not finite.

    Example:
      >>> from jaxalign.monitoring import alignment_measures
      >>> list(alignment_measures(100, thresholds=[1.0, 3.0]))
      ['area', 'alignment', 'curve', 'null_area', 'null_curve']

    Source: Eq. 1 of Imani, Hu, White (TMLR 2022); the null is ours.
    """
    num_samples = as_count(num_samples, "num_samples")
    require_flag(null, "null")
    tau: Any = thresholds
    if thresholds is None:
        tau = usual_thresholds(num_samples)
    if grid is None:
        grid = np.linspace(0, num_samples**0.5, GRID)
    values = as_thresholds(grid, "grid")
    measures = {
        "area": as_measure(alignment_area),
        "alignment": curve(tau),
        "curve": curve(values),
    }
    if null:
        measures |= {"null_area": of_null(alignment_area), "null_curve": curve(values, null=True)}
    return measures


def as_measure(measure: Measure | Callable[..., Any]) -> Measure:
    """A bare function as the measure of a Spectrum that it is."""
    if isinstance(measure, Measure):
        return measure
    return Measure(
        measure,
        "spectrum",
        of_each_target=_is_one_of(measure, _OF_EACH_TARGET),
        on_quadrature=_is_one_of(measure, _ON_QUADRATURE),
    )


def _is_one_of(function: Callable[..., Any], functions: frozenset[Callable[..., Any]]) -> bool:
    """Also where some of its arguments are fixed by ``functools.partial``."""
    while isinstance(function, partial):
        function = function.func
    return any(function is one for one in functions)


def _axes(coordinates: Coordinates) -> dict[str, np.ndarray]:
    if coordinates is not None:
        require_kind(coordinates, Mapping, "coordinates", "pass {axis name: its values}")
    axes = {name: np.asarray(values) for name, values in (coordinates or {}).items()}
    for name, values in axes.items():
        if values.ndim != 1:
            raise ValueError(
                f"coordinates must be one list of values an axis, found {name!r} of shape "
                f"{values.shape}"
            )
    return axes
