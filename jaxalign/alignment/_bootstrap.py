"""How a measure would vary over other samples."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxalign._core.checks import is_concrete, require_finite
from jaxalign._core.float64 import float64_inside
from jaxalign._spectrum.moments import Moments
from jaxalign._spectrum.spectrum import spectrum
from jaxalign.alignment._measures import alignment_curve
from jaxalign.alignment._nulls import require_draws

_DRAWS_AT_ONCE = 32  # matrices of one batched eigensolver: they are what needs memory


def bootstrap_curves(
    folds: Moments | Sequence[Moments],
    thresholds: ArrayLike,
    *,
    key: Array,
    draws: int,
    centered: bool = False,
) -> Array:
    """``alignment_curve`` of ``draws`` bootstrap samples, each F folds drawn with replacement: of
    Σ_f count_f·Moments_f.

    No row is read again: a fold counts as often as it was drawn, and moments add up. That is a
    block bootstrap: rows of a fold stay together, so folds should be random parts of exchangeable
    rows, or the dependent blocks themselves; take F ≥ 20 (F = n is the bootstrap of single rows).
    For a share of ‖y‖² divide by the draw's own A(0), which varies where ‖y_i‖² does.

    Take the spread from it, not the quantiles: A(τ) ± 1.96 standard deviations of the draws.
    Repeated rows are easier to fit, so at small τ the draws repeat the upward bias that A has
    itself, about d/n of what lies outside the column space.
    Simulated (n = 200 Gaussian rows, F = 20, shares of ‖y‖², 100–200 samples): the spread is
      0.92–1.00 of the true one at d = 8
    and 0.85–0.95 at d = 50; that interval covers E[A(τ)] at 0.91–0.93 and 0.88–0.91, the 95 %
    quantiles at small τ at 0.90 and 0.53. What A(τ) tends to as n grows is missed at d = 50 and
    small τ: 0.67, where A has mean 0.75 and the draws 0.80.

    Args:
      folds: the Moments of F disjoint parts of the rows, as a list or as one batch (leading axis F,
        as vmap makes it).
      thresholds: (t,) values of τ.
      key: of ``jax.random.key``.
      draws: how many bootstrap samples.
      centered: about the mean of each bootstrap sample.

    Returns:
      (draws, t, k), in the units of y².

    Raises:
      ValueError: under two folds, folds that differ in features, targets or precision, or of weight
        0 (eager calls); moments of a second pass; no draws; as ``alignment_curve``.

    Example:
      >>> import jax
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> rows = np.random.default_rng(0).standard_normal((20, 5, 3)).astype(np.float32)  # 20 folds of 5 rows
      >>> folds = jax.vmap(ja.moments)(rows, rows[..., :1] + rows[..., 1:2])
      >>> ja.bootstrap_curves(folds, [1.0, 8.0], key=jax.random.key(0), draws=50).shape
      (50, 2, 1)

    Source: ours; the block bootstrap of Künsch (1989), of blocks that do not overlap.
    """
    require_draws(draws)
    held, tau = _stacked(folds), jnp.asarray(thresholds)
    require_finite(tau, "thresholds")
    count, at_once = len(held.products), min(draws, _DRAWS_AT_ONCE)
    chosen = jax.random.randint(key, (-(-draws // at_once), at_once, count), 0, count)
    return _resampled(held, chosen, tau, centered)[:draws]


@partial(jax.jit, static_argnames="centered")
def _resampled(folds: Moments, chosen: Array, thresholds: Array, centered: bool) -> Array:
    def curve(chosen: Array) -> Array:
        counts = jnp.bincount(chosen, length=len(folds.products))
        merged = replace(folds, products=_weighted_sum(counts, folds.products))
        return alignment_curve(spectrum(merged, centered=centered), thresholds)

    curves = jax.lax.map(jax.vmap(curve), chosen)
    return curves.reshape(-1, *curves.shape[2:])


_weighted_sum = float64_inside(
    lambda weights, products: jnp.tensordot(weights.astype(products.dtype), products, axes=1)
)


def _stacked(folds: Moments | Sequence[Moments]) -> Moments:
    held = folds if isinstance(folds, Moments) else Moments.stack(folds)
    if held.products.ndim != 3 or len(held.products) < 2:
        raise ValueError(
            f"folds must be at least 2 Moments, found products of shape {held.products.shape}; "
            "split the rows: jax.vmap(moments)(features.reshape(F, n // F, d), targets.reshape(F, n // F, k))"
        )
    if held.passes != 1:
        raise ValueError("folds must be moments of a first pass, found those of a second")
    if is_concrete(held.products) and not bool((held.weight > 0).all()):
        raise ValueError(f"folds must hold rows, found one of weight {float(held.weight.min())}")
    return held
