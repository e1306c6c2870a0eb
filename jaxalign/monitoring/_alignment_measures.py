"""The measures of alignment that a monitor logs unless told otherwise."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from jaxalign._core.kinds import as_count, require_flag
from jaxalign._core.thresholds import as_thresholds
from jaxalign.alignment import alignment_area, alignment_curve, usual_thresholds
from jaxalign.monitoring._measures import Measure, as_measure
from jaxalign.monitoring._wrappers import of_null

GRID = 64
"""Values of τ of the whole curve, by default."""


def curve(thresholds: ArrayLike, *, null: bool = False) -> Measure:
    """The measure A(τ) at every threshold, of the targets or of the permutation null.

    Args:
      thresholds: (t,) values of τ, in the units of the singular values.
      null: of the permutation null.

    Returns:
      Measure, for ``monitor(..., measures={"curve": curve(grid)})``; (t,) with the axis "tau".

    Raises:
      ValueError: thresholds empty, not of shape (t,), or not finite.

    Example:
      >>> from jaxalign.monitoring import curve
      >>> curve([1.0, 2.0]).coordinates["tau"].tolist()
      [1.0, 2.0]

    Source: Eq. 1 of Imani, Hu, White (TMLR 2022).
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
