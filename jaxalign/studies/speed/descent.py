"""Gradient descent on a linear head, done and foretold: what the study of speed compares."""

from typing import NamedTuple

import jax
import numpy as np

from jaxalign._spectrum.spectrum import Spectrum, spectrum
from jaxalign.alignment import alignment_curve
from jaxalign.learning import predicted_convergence

ROUNDING = 1e-9
"""Of ‖y‖²: so much may a loss exceed its bound in float64."""


class Descent(NamedTuple):
    """Descent on ½‖Φw − y‖² from w = 0 in full batches, of one Φ and k targets.

    Attributes:
      loss: (steps + 1, k) ‖Φw_t − y‖²/‖y‖², of weights that were really iterated.
      bound: (steps + 1, k) what alignment alone promises of it: the least over τ of the bound
        below, over ‖y‖².
      error: (k,) largest difference of loss and ``predicted_convergence``, over ‖y‖².
      violations: (k,) pairs of t and τ at which (1 − ητ²)^{2t} A(τ) + [A(0⁺) − A(τ)] was exceeded.
    """

    loss: np.ndarray
    bound: np.ndarray
    error: np.ndarray
    violations: np.ndarray


def descend(features: np.ndarray, targets: np.ndarray, step_size: float, steps: int) -> np.ndarray:
    """‖Φw_t − y‖², (steps + 1, k), of t = 0...steps iterations w ← w − ηΦᵀ(Φw − y), in float64.

    Of a wide Φ the same iteration runs on a of w = Φᵀa: a ← a − η(Φw − y).

    Args:
      features: (n, d) Φ.
      targets: (n, k) Y.
      step_size: η.
      steps: how many.
    """
    phi, y = np.asarray(features, np.float64), np.asarray(targets, np.float64)
    wide = phi.shape[0] < phi.shape[1]
    product = phi @ phi.T if wide else phi
    unknown, losses = np.zeros((product.shape[1], y.shape[1])), np.empty((steps + 1, y.shape[1]))
    for t in range(steps + 1):
        residual = product @ unknown - y
        losses[t] = (residual**2).sum(axis=0)
        unknown -= step_size * (residual if wide else phi.T @ residual)
    return losses


def spectrum64(features: np.ndarray, targets: np.ndarray) -> Spectrum:
    """The label spectrum in float64, of numpy's arrays."""
    with jax.enable_x64(True):
        found = spectrum(np.asarray(features, np.float64), np.asarray(targets, np.float64))
    return jax.tree.map(np.asarray, found)


def compared(
    features: np.ndarray,
    targets: np.ndarray,
    found: Spectrum,
    step_size: float,
    steps: int,
    thresholds: int,
) -> Descent:
    """Descent beside what the spectrum foretells.

    Args:
      features: (n, d) Φ.
      targets: (n, k) Y.
      found: their ``spectrum64``.
      step_size: η ≤ 1/σ_1².
      steps: how many.
      thresholds: how many τ, evenly spaced on (0, σ_1], the bound is taken at; past σ_1 it says
        nothing.
    """
    total, inside = found.total, found.energy.sum(axis=0)
    tau = np.linspace(0, float(found.singular_values[0]), thresholds + 1)[1:]
    with jax.enable_x64(True):
        above = np.asarray(alignment_curve(found, tau))
        foretold = np.asarray(
            predicted_convergence(found, np.arange(steps + 1), step_size=step_size)
        )
    losses = descend(features, targets, step_size, steps)
    excess = losses - (total - inside)
    kept = (1 - step_size * tau**2) ** (
        2 * np.arange(steps + 1)[:, None]
    )  # (steps + 1, thresholds)
    bounds = kept[..., None] * above + (inside - above)
    return Descent(
        loss=losses / total,
        bound=(bounds.min(axis=1) + total - inside) / total,
        error=np.abs(excess - foretold).max(axis=0) / total,
        violations=(excess[:, None] > bounds + ROUNDING * total).sum(axis=(0, 1)),
    )
