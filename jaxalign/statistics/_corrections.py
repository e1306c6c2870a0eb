"""p-values adjusted for the number of tests."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from jaxalign.statistics._checks import as_float64


def holm(p: ArrayLike) -> Float[np.ndarray, " m"]:
    """Holm's adjusted p-values, which bound the probability of any false rejection.

    The i-th smallest of m p-values becomes max_{j ≤ i} (m − j + 1)·p_j, at most 1.

    Args:
      p: (m,) p-values.

    Returns:
      (m,) adjusted p-values, in the order of ``p``.

    Raises:
      ValueError: no p-values, or values outside [0, 1].

    Example:
      >>> from jaxalign.statistics import holm
      >>> holm([0.01, 0.04, 0.03]).tolist()
      [0.03, 0.06, 0.06]

    Source: Holm (Scandinavian Journal of Statistics 1979).
    """
    p = _p_values(p)
    order = np.argsort(p)
    # The running maximum keeps adjusted values in the order of the original ones.
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def benjamini_hochberg(p: ArrayLike) -> Float[np.ndarray, " m"]:
    """Benjamini and Hochberg's adjusted p-values, which bound the false discovery rate.

    Args:
      p: (m,) p-values, independent or positively dependent.

    Returns:
      (m,) adjusted p-values, in the order of ``p``.

    Raises:
      ValueError: no p-values, or values outside [0, 1].

    Example:
      >>> from jaxalign.statistics import benjamini_hochberg
      >>> benjamini_hochberg([0.01, 0.04, 0.03]).tolist()
      [0.03, 0.04, 0.04]

    Source: Benjamini and Hochberg (JRSS B 1995), as in scipy.
    """
    # scipy.stats takes half a second to import.
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(_p_values(p)))


def _p_values(p: ArrayLike) -> Float[np.ndarray, " m"]:
    p = as_float64(p, "p")
    if p.ndim != 1 or not len(p) or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p must be (m,) p-values in [0, 1], found {p}")
    return p
