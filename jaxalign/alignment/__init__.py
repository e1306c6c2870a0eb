"""The measure: how much of the target lies along the top singular directions, and what chance would
give.
"""

from jaxalign.alignment._bootstrap import bootstrap_curves
from jaxalign.alignment._measures import aligned_rank, alignment_area, alignment_curve
from jaxalign.alignment._nulls import (
    Permuted,
    permutation_curves,
    permutation_null,
    random_label_curve,
)
from jaxalign.alignment._regularization import (
    label_alignment_loss,
    label_alignment_weights,
    smooth_alignment,
)

__all__ = [
    "Permuted",
    "aligned_rank",
    "alignment_area",
    "alignment_curve",
    "bootstrap_curves",
    "label_alignment_loss",
    "label_alignment_weights",
    "permutation_curves",
    "permutation_null",
    "random_label_curve",
    "smooth_alignment",
]
