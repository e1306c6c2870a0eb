"""Rank correlation where a constant has shown nothing."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def rank_correlation(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's ρ; 0 if x or y is constant."""
    if np.ptp(np.asarray(x)) == 0 or np.ptp(np.asarray(y)) == 0:
        return 0.0
    return float(stats.spearmanr(x, y).statistic)
