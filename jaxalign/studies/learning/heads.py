"""Ridge heads fitted to some rows and tested on others."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxalign.studies.learning.representations import Rows


class Fitted(NamedTuple):
    """Heads of several strengths on the same rows.

    Attributes:
      error: mean squared error per test row.
      freedom: degrees of freedom per row, Σ λ/(λ + ρ)/n of the squared singular values λ: 1 where a
        head interpolates.
      left_out: exact leave-one-out error per row, of the fitted rows.
    """

    error: Float[np.ndarray, " strengths"]
    freedom: Float[np.ndarray, " strengths"]
    left_out: Float[np.ndarray, " strengths"]


def fit_heads(
    rows: Rows, chosen: Int[np.ndarray, " n"], test: Int[np.ndarray, " m"], strengths: np.ndarray
) -> Fitted:
    """Minimise ‖Φw − y‖² + ρ‖w‖² on the chosen rows, for every ρ from one eigensystem."""
    phi, others = (rows.features[part].astype(np.float64) for part in (chosen, test))
    y, unseen = (rows.targets[part, 0].astype(np.float64) for part in (chosen, test))
    n, d = phi.shape
    # The smaller of ΦᵀΦ and ΦΦᵀ: w = (ΦᵀΦ + ρ)⁻¹Φᵀy = Φᵀ(ΦΦᵀ + ρ)⁻¹y = V z/(λ + ρ).
    if d <= n:
        values, vectors = np.linalg.eigh(phi.T @ phi)
        along = phi @ vectors
        outputs = others @ vectors
        z = along.T @ y
        weights = along**2
    else:
        values, vectors = np.linalg.eigh(phi @ phi.T)
        values = np.maximum(values, 0)
        outputs = (others @ phi.T) @ vectors
        z = vectors.T @ y
        along = vectors * values
        weights = vectors**2 * values
    shrunk = 1 / (np.maximum(values, 0)[:, None] + strengths)
    errors = unseen[:, None] - outputs @ (z[:, None] * shrunk)
    residuals = y[:, None] - along @ (z[:, None] * shrunk)
    leverages = weights @ shrunk
    return Fitted(
        error=(errors**2).mean(axis=0),
        freedom=leverages.mean(axis=0),
        left_out=((residuals / (1 - leverages)) ** 2).mean(axis=0),
    )
