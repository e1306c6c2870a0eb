"""What a measure is a function of: a wrapper for each source."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxalign._core.checks import as_program_numbers, require_finite
from jaxalign._core.kinds import require_kind
from jaxalign.monitoring._measures import Measure, is_of_each_target

Coordinates = Mapping[str, ArrayLike] | None


def of_spectrum(function: Callable[..., Any], *, coordinates: Coordinates = None) -> Measure:
    """A measure of the layer's Spectrum, as a bare function is, with names for its axes.

    Args:
      function: of the Spectrum.
      coordinates: {axis name: its values}, for the leading axes of what the function returns.

    Returns:
      Measure.

    Raises:
      ValueError: coordinates that are not lists of values.

    Example:
      >>> import jaxalign as ja
      >>> from jaxalign.monitoring import of_spectrum
      >>> top = of_spectrum(lambda s: s.singular_values[:3], coordinates={"direction": [1, 2, 3]})
      >>> top.coordinates["direction"].tolist()
      [1, 2, 3]

    Source: ours.
    """
    return Measure(function, "spectrum", _axes(coordinates))


def of_null(function: Callable[..., Any], *, coordinates: Coordinates = None) -> Measure:
    """A measure of the layer's permutation null, a Spectrum from the same decomposition.

    Args:
      function: of the Spectrum of the null.
      coordinates: {axis name: its values}, for the leading axes of what the function returns.

    Returns:
      Measure.

    Raises:
      ValueError: coordinates that are not lists of values.

    Example:
      >>> import jaxalign as ja
      >>> from jaxalign.monitoring import of_null
      >>> of_null(ja.aligned_rank).source
      'null'

    Source: as ``permutation_null``.
    """
    return Measure(
        function,
        "null",
        _axes(coordinates),
        of_each_target=is_of_each_target(function),
    )


def of_quadrature(function: Callable[..., Any], *, coordinates: Coordinates = None) -> Measure:
    """A measure of the layer's Quadrature, with ``method="quadrature"``: bounds, for instance.

    Args:
      function: of the Quadrature.
      coordinates: {axis name: its values}, for the leading axes of what the function returns.

    Returns:
      Measure.

    Raises:
      ValueError: coordinates that are not lists of values.

    Example:
      >>> import jaxalign as ja
      >>> from jaxalign.monitoring import of_quadrature
      >>> grid = [1.0, 2.0]
      >>> lower_bounds = lambda q: ja.quadrature_bounds(q, grid)[0]
      >>> lower = of_quadrature(lower_bounds, coordinates={"tau": grid})
      >>> lower.coordinates["tau"].tolist()
      [1.0, 2.0]

    Source: ours.
    """
    return Measure(function, "quadrature", _axes(coordinates))


def of_moments(function: Callable[..., Any], *, coordinates: Coordinates = None) -> Measure:
    """A measure of the Moments of the layer's Φ and the targets.

    Args:
      function: of the Moments.
      coordinates: {axis name: its values}, for the leading axes of what the function returns.

    Returns:
      Measure.

    Raises:
      ValueError: coordinates that are not lists of values.

    Example:
      >>> from jaxalign.monitoring import of_moments
      >>> of_moments(lambda moments: moments.weight).source
      'moments'

    Source: ours.
    """
    return Measure(function, "moments", _axes(coordinates))


def of_features(
    function: Callable[..., Any], *, targets: bool = False, coordinates: Coordinates = None
) -> Measure:
    """A measure of the layer's pooled activations (n, d), without bias column and unit rows.

    Args:
      function: of the features; with ``targets``, of (features, targets).
      targets: whether the function also gets the targets (n, k).
      coordinates: {axis name: its values}.

    Returns:
      Measure.

    Raises:
      ValueError: coordinates that are not lists of values.

    Example:
      >>> from jaxalign.monitoring import of_features
      >>> of_features(lambda x: (x > 0).mean()).source
      'features'

    Source: ours.
    """
    return Measure(function, "features", _axes(coordinates), with_targets=targets)


def of_activations(
    function: Callable[..., Any], *, targets: bool = False, coordinates: Coordinates = None
) -> Measure:
    """A measure of the layer's activations (n, ...) as they were captured.

    Args:
      function: of the activations; with ``targets``, of (activations, targets).
      targets: whether the function also gets the targets (n, k).
      coordinates: {axis name: its values}, for the leading axes of what the function returns.

    Returns:
      Measure.

    Raises:
      ValueError: coordinates that are not lists of values.

    Example:
      >>> from jaxalign.monitoring import of_activations
      >>> of_activations(lambda a: abs(a).mean()).source
      'activations'

    Source: ours.
    """
    return Measure(function, "activations", _axes(coordinates), with_targets=targets)


def of_outputs(
    function: Callable[..., Any], *, targets: bool = False, coordinates: Coordinates = None
) -> Measure:
    """A measure of the model's outputs; it is logged under the layer "outputs".

    Args:
      function: of the outputs; with ``targets``, of (outputs, targets).
      targets: whether the function also gets the targets (n, k).
      coordinates: {axis name: its values}, for the leading axes of what the function returns.

    Returns:
      Measure.

    Raises:
      ValueError: coordinates that are not lists of values.

    Example:
      >>> from jaxalign.monitoring import of_outputs
      >>> of_outputs(lambda z, y: ((z > 0) == (y > 0)).mean(), targets=True).with_targets
      True

    Source: ours.
    """
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

    Returns:
      Measure.

    Raises:
      ValueError: a reference by another name, of no layer, or of numbers that are not finite or
        beyond their dtype in a program. A monitor refuses one of a layer that it lacks.
      TypeError: a reference that is no array of numbers.

    Example:
      >>> from jaxalign import similarity
      >>> from jaxalign.monitoring import of_pair
      >>> of_pair(similarity.linear_cka, reference="start").is_with_start
      True

    Source: ours.
    """
    if isinstance(reference, str) and reference not in ("start", "previous"):
        raise ValueError(
            "reference must be 'start', 'previous', a matrix or {layer: matrix}, "
            f"found {reference!r}"
        )
    return Measure(function, "pair", _axes(coordinates), reference=_checked(reference))


def _checked(reference: Any) -> Any:
    """A fixed reference as numbers of a program; "start" and "previous" as they are."""
    if isinstance(reference, str):
        return reference
    if not isinstance(reference, Mapping):
        return _fixed(reference, "reference")
    if not reference:
        raise ValueError("reference must hold a matrix of at least one layer, found none")
    return {layer: _fixed(x, f"reference of {layer!r}") for layer, x in reference.items()}


def _fixed(matrix: Any, name: str) -> Array | np.ndarray:
    numbers = as_program_numbers(matrix, name)
    require_finite(numbers, name)
    return numbers


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
        if not isinstance(name, str) or not name:
            raise TypeError(f"names of coordinates must be non-empty strings, found {name!r}")
        is_float = jax.dtypes.issubdtype(values.dtype, np.floating)  # bfloat16 is one
        if not is_float and values.dtype.kind not in "biuU":
            raise TypeError(
                f"coordinates must be numbers or text, found {name!r} of dtype {values.dtype}; "
                "pass text for anything else, as np.asarray(values).astype(str)"
            )
    return axes
