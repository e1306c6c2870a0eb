"""The measure: how much of the target lies along the top singular directions, and what chance
would give.
"""

from jaxalign.alignment._bootstrap import bootstrap_curves
from jaxalign.alignment._differences import Difference, bootstrap_difference
from jaxalign.alignment._measures import (
    aligned_rank,
    alignment_area,
    alignment_curve,
    usual_thresholds,
)
from jaxalign.alignment._nulls import isotropic_null, permutation_null, spectrum_and_null
from jaxalign.alignment._permutations import Permuted, permutation_curves
from jaxalign.alignment._regularization import (
    label_alignment_loss,
    label_alignment_weights,
)
from jaxalign.alignment._report import Alignment, measure
from jaxalign.alignment._smooth import smooth_alignment

__all__ = [
    "Alignment",
    "Difference",
    "Permuted",
    "aligned_rank",
    "alignment_area",
    "alignment_curve",
    "bootstrap_curves",
    "bootstrap_difference",
    "isotropic_null",
    "label_alignment_loss",
    "label_alignment_weights",
    "measure",
    "permutation_curves",
    "permutation_null",
    "smooth_alignment",
    "spectrum_and_null",
    "usual_thresholds",
]
