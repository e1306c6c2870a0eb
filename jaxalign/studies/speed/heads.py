"""What is measured of linear heads on one Φ: the alignment of their labels, and how they learn."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment import alignment_area, alignment_curve
from jaxalign.studies.framework.study import Row
from jaxalign.studies.speed.descent import compared, spectrum64
from jaxalign.studies.speed.design import THRESHOLDS, Config


class Rows(NamedTuple):
    """Rows that heads learn, or are tested on."""

    features: Float[np.ndarray, "n d"]
    targets: Float[np.ndarray, "n k"]


def heads(config: Config, own: Rows, others: Rows) -> list[Row]:
    """The measures of the head of each of the k targets.

    Args:
      config: of the study.
      own: what the heads learn.
      others: what they are tested on, in the same representation.
    """
    n, d = own.features.shape
    s = spectrum64(*own)
    largest = float(s.singular_values[0])
    inside = _inside(s)
    with jax.enable_x64(True):
        alignment = np.asarray(alignment_curve(s, config.threshold * n**0.5)) / s.total / inside
    areas = {"area": _area(s), "area_elsewhere": _area(spectrum64(*others))}
    # The largest step size that is safe for this representation, and one that is safe for all.
    run = compared(*own, s, 1 / largest**2, config.horizon, THRESHOLDS)
    common = compared(*own, s, 1 / n, config.horizon, THRESHOLDS)
    right = np.sign(others.features @ run.weights) == np.sign(others.targets)
    # Of the loss over ‖y‖², and not over what is in span.
    of_total = 1 - (1 - config.share) / inside
    return [
        {
            "d": d,
            "largest": largest / n**0.5,
            **{name: float(values[j]) for name, values in areas.items()},
            "alignment": float(alignment[j]),
            "inside": float(inside[j]),
            "accuracy": float(right[:, j].mean()),
            "steps": _steps_to(config.share, run.left[:, j]),
            "steps_far": _steps_to(config.far, run.left[:, j]),
            "steps_of_total": _steps_to(of_total[j], run.left[:, j]),
            "steps_common": _steps_to(config.share, common.left[:, j]),
            "promised": _steps_to(config.share, run.bound[:, j]),
            "error": float(max(run.error[j], common.error[j])),
            "violations": int(run.violations[j] + common.violations[j]),
        }
        for j in range(own.targets.shape[1])
    ]


def _area(s: Spectrum) -> Float[np.ndarray, " k"]:
    """∫A dτ/(√n A(0⁺)): of what is in span, which is what descent can learn."""
    with jax.enable_x64(True):
        area = np.asarray(alignment_area(s))
    return area / s.total / s.num_samples**0.5 / _inside(s)


def _inside(s: Spectrum) -> Float[np.ndarray, " k"]:
    """A(0⁺)/‖y‖²."""
    return np.asarray(s.energy.sum(axis=0) / s.total)


def _steps_to(level: float, left: Float[np.ndarray, " times"]) -> int:
    """The first step at which so little is left; one past the horizon if it never is."""
    # What is left falls, and searchsorted takes rising values.
    return int(np.searchsorted(-left, -level))
