"""Gradient descent on a linear head, iterated and predicted: what the study of speed compares."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxalign._spectrum.spectrum import spectrum
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment import alignment_curve
from jaxalign.learning import predicted_convergence

ROUNDING = 1e-9
"""Of ‖y‖²: the most by which rounding may lift a loss over its bound in float64."""


class Run(NamedTuple):
    """Descent that was iterated.

    Attributes:
      losses: ‖Φw_t − y‖² of t = 0, 1, ...
      weights: w in the end.
    """

    losses: Float[np.ndarray, "times k"]
    weights: Float[np.ndarray, "d k"]


class Descent(NamedTuple):
    """Descent on ½‖Φw − y‖² from w = 0 in full batches, of one Φ and k targets.

    Attributes:
      left: (‖Φw_t − y‖² − min)/(‖y‖² − min): the share of what is in span that is not yet learned,
        of weights that were really iterated. min is the part of y outside the column space.
      bound: what alignment alone promises of it: the least over τ of the bound below.
      weights: in the end.
      error: the largest difference of loss and ``predicted_convergence``, over ‖y‖².
      violations: pairs of t and τ at which (1 − ητ²)^{2t} A(τ) + [A(0⁺) − A(τ)] was exceeded.
    """

    left: Float[np.ndarray, "times k"]
    bound: Float[np.ndarray, "times k"]
    weights: Float[np.ndarray, "d k"]
    error: Float[np.ndarray, " k"]
    violations: Int[np.ndarray, " k"]


def descend(features: np.ndarray, targets: np.ndarray, step_size: float, steps: int) -> Run:
    """Iterate w ← w − ηΦᵀ(Φw − y), t = 0...steps, in float64.

    Args:
      features: (n, d) Φ.
      targets: (n, k) Y.
      step_size: η.
      steps: the number of iterations.
    """
    phi = np.asarray(features, np.float64)
    y = np.asarray(targets, np.float64)
    # Of a wide Φ the same iteration runs on the a of w = Φᵀa: a ← a − η(ΦΦᵀa − y).
    wide = phi.shape[0] < phi.shape[1]
    product = phi @ phi.T if wide else phi
    unknown = np.zeros((product.shape[1], y.shape[1]))
    losses = np.empty((steps + 1, y.shape[1]))
    for t in range(steps + 1):
        residual = product @ unknown - y
        losses[t] = (residual**2).sum(axis=0)
        if t < steps:
            unknown -= step_size * (residual if wide else phi.T @ residual)
    return Run(losses, phi.T @ unknown if wide else unknown)


def spectrum64(features: np.ndarray, targets: np.ndarray) -> Spectrum:
    """The label spectrum in float64, of numpy's arrays."""
    with jax.enable_x64(True):
        s = spectrum(np.asarray(features, np.float64), np.asarray(targets, np.float64))
    return jax.tree.map(np.asarray, s)


def compared(
    features: np.ndarray,
    targets: np.ndarray,
    s: Spectrum,
    step_size: float,
    steps: int,
    thresholds: int,
) -> Descent:
    """Descent, with what the spectrum predicts of it.

    Args:
      features: (n, d) Φ.
      targets: (n, k) Y.
      s: their ``spectrum64``.
      step_size: η ≤ 1/σ_1².
      steps: the number of iterations.
      thresholds: how many τ, evenly spaced on (0, σ_1], the bound is taken at; past σ_1 it says
        nothing.
    """
    total = s.total
    # A(0⁺): what descent can fit in the end.
    inside = s.energy.sum(axis=0)
    t = np.arange(steps + 1)
    tau = np.linspace(0, float(s.singular_values[0]), thresholds + 1)[1:]
    with jax.enable_x64(True):
        above = np.asarray(alignment_curve(s, tau))
        predicted = np.asarray(predicted_convergence(s, t, step_size=step_size))
    run = descend(features, targets, step_size, steps)
    # predicted_convergence is the loss over its limit, the part of y outside the column space.
    excess = run.losses - (total - inside)
    # (1 − ητ²)^{2t} A(τ) + [A(0⁺) − A(τ)], of (steps + 1, thresholds, k).
    factor = (1 - step_size * tau**2) ** (2 * t[:, None])
    bounds = factor[..., None] * above + (inside - above)
    return Descent(
        left=excess / inside,
        bound=bounds.min(axis=1) / inside,
        weights=run.weights,
        error=np.abs(excess - predicted).max(axis=0) / total,
        violations=(excess[:, None] > bounds + ROUNDING * total).sum(axis=(0, 1)),
    )
