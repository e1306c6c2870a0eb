"""Rows by class: their means, and how they lie around them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import as_real_floats, require_finite, require_matrix
from jaxalign._core.derivatives import without_derivative
from jaxalign._core.float64 import exactly, float64_with_derivative, of_jax_or_numpy
from jaxalign._core.known import is_concrete
from jaxalign._core.linalg import matmul
from jaxalign._features import class_indicators


class ClassSums(NamedTuple):
    """Rows by class.

    Attributes:
      counts: (c,) n_c.
      means: (c, d) of the classes, less the mean of these means.
      center: (d,) that mean, less the first row.
      within: (n, d) rows less the mean of their class.
    """

    counts: Float[Array, " c"]
    means: Float[Array, "c d"]
    center: Float[Array, " d"]
    within: Float[Array, "n d"]


def of_classes(
    function: Callable[..., Any],
    features: ArrayLike,
    labels: ArrayLike,
    classes: Sequence | None,
    *others: Array | np.ndarray,
) -> Any:
    """``function(rows, indicators, *others)`` of checked arrays, in float64 except on a TPU; its
    results in the features' dtype.

    Raises:
      ValueError: features that are no (n, d) matrix, empty, not finite, or of another n than the
        labels; a class without rows, or means of classes that all coincide (eager calls); labels
        as in ``encode_targets``.
      TypeError: features or labels of another kind; when differentiated.
    """
    x = as_numbers(features, "features")
    indicators = class_indicators(labels, classes)
    _require_rows(indicators)
    guarded = without_derivative(function, _REASON)

    def checked(
        x: Array | np.ndarray, indicators: Array | np.ndarray, *others: Array | np.ndarray
    ) -> Any:
        rows = as_real_floats(x, "features")
        require_matrix(rows, "features", "d")
        require_finite(rows, "features")
        if len(rows) != len(indicators):
            raise ValueError(
                "features and labels must have as many rows, "
                f"found shape {rows.shape} and {len(indicators)} labels"
            )
        same = (jnp.asarray(array, rows.dtype) for array in (indicators, *others))
        return float64_with_derivative(guarded)(rows, *same)

    # Of numpy they leave the choice of the device to the features.
    known = np.asarray(indicators) if is_concrete(indicators) else indicators
    results = jax.tree.map(of_jax_or_numpy, exactly(checked, x, known, *others))
    first = jax.tree.leaves(results)[0]
    if is_concrete(first) and np.isnan(float(first)):
        raise ValueError(
            "features must have different means in different classes, found one mean in all: "
            "nothing lies between classes, as in a dead layer"
        )
    return results


# Eigenvalues coincide where classes collapse, and eigenvectors then have no derivative.
_REASON = "neural_collapse and lidar have no derivative; differentiate a loss instead"


def _require_rows(indicators: Float[Array, "n c"]) -> None:
    if not is_concrete(indicators):
        return
    counts = np.asarray(indicators).sum(axis=0)
    if (counts == 0).any():
        empty = np.flatnonzero(counts == 0).tolist()
        raise ValueError(
            f"every class must have rows, found none of the classes at {empty}; "
            "leave them out of classes="
        )


def class_sums(rows: Float[Array, "n d"], indicators: Float[Array, "n c"]) -> ClassSums:
    """The ClassSums of rows."""
    # About a row of their own, sums keep the digits of rows far from 0.
    shifted = rows - rows[:1]
    counts = jnp.sum(indicators, axis=0)
    means = matmul(indicators.T, shifted) / counts[:, None]
    center = jnp.mean(means, axis=0)
    return ClassSums(counts, means - center[None, :], center, shifted - matmul(indicators, means))
