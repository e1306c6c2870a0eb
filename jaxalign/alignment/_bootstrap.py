"""How a measure would vary over other samples."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from jaxalign._core.checks import as_dtype, as_real_floats, require_finite
from jaxalign._core.float64 import float64_inside
from jaxalign._core.kinds import as_count, require_flag, require_key, require_kind
from jaxalign._core.known import known_values
from jaxalign._core.platform import on_platform
from jaxalign._spectrum.carried import carried, restored
from jaxalign._spectrum.moments import Moments
from jaxalign._spectrum.spectrum import spectrum
from jaxalign.alignment._measures import alignment_curve

# Matrices of one batched eigensolver, which need the most memory.
_DRAWS_AT_ONCE = 32


def bootstrap_curves(
    folds: Moments | Sequence[Moments],
    thresholds: ArrayLike,
    *,
    key: Array,
    draws: int,
    centered: bool = False,
) -> Float[Array, "draws t k"]:
    """``alignment_curve`` of ``draws`` bootstrap samples, each of F folds drawn with replacement.

    No row is read again: the moments of a sample are Σ_f count_f·Moments_f. That is a block
    bootstrap, since rows of a fold stay together. So folds should be random parts of exchangeable
    rows, or the dependent blocks themselves. Take F ≥ 20; F = n is the bootstrap of single rows.
    For a share of ‖y‖² divide by the draw's own A(0), which varies where ‖y_i‖² does.

    Use the standard deviation of the draws, A(τ) ± 1.96 of it, not their quantiles. Repeated rows
    are easier to fit, so at small τ the draws repeat the upward bias that A itself has, about d/n
    of what lies outside the column space. Simulated (n = 200 Gaussian rows, F = 20, shares of
    ‖y‖², 100–200 samples), for d = 8 and for d = 50:

    - the standard deviation is 0.92–1.00 and 0.85–0.95 of the true one;
    - that interval covers E[A(τ)] at 0.91–0.93 and 0.88–0.91;
    - the 95 % quantiles at small τ cover it at 0.90 and 0.53.

    The limit of A(τ) for large n is missed at d = 50 and small τ: it is 0.67, where A has mean 0.75
    and the draws have mean 0.80.

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
      ValueError: fewer than two folds; folds that differ in features, targets or precision, or of
        weight 0 (eager calls); moments of a second pass; no draws; as ``alignment_curve``.
      TypeError: folds that are not Moments; a key, draws or ``centered`` of another kind.

    Example:
      >>> import jax
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> rng = np.random.default_rng(0)
      >>> rows = rng.standard_normal((20, 5, 3)).astype(np.float32)  # 20 folds of 5 rows
      >>> folds = jax.vmap(ja.moments)(rows, rows[..., :1] + rows[..., 1:2])
      >>> ja.bootstrap_curves(folds, [1.0, 8.0], key=jax.random.key(0), draws=50).shape
      (50, 2, 1)

    Source: ours; the block bootstrap of Künsch (1989), of blocks that do not overlap.
    """
    draws = as_count(draws, "draws")
    require_key(key)
    require_flag(centered, "centered")
    stacked = as_folds(folds, "folds")
    dtype = jax.dtypes.canonicalize_dtype(stacked.precision)
    tau = as_dtype(as_real_floats(thresholds, "thresholds"), dtype)
    require_finite(tau, "thresholds")
    chosen = drawn_folds(key, draws, len(stacked.products))
    return _resampled(stacked, chosen, tau, centered)[:draws]


def drawn_folds(key: Array, draws: int, count: int) -> Int[Array, "turns at_once F"]:
    """The folds of each bootstrap sample, of ``draws`` or a few more, in turns of what fits into
    memory.
    """
    at_once = min(draws, _DRAWS_AT_ONCE)
    turns = -(-draws // at_once)
    return jax.random.randint(key, (turns, at_once, count), 0, count, jnp.int32)


@partial(jax.jit, static_argnames="centered")
def _resampled(
    folds: Moments,
    chosen: Int[Array, "turns at_once F"],
    thresholds: Float[Array, "..."],
    centered: bool,
) -> Array:
    kept = carried(folds)

    def curve(counts: Array) -> Array:
        whole = merged(restored(kept), counts)
        return alignment_curve(spectrum(whole, centered=centered), thresholds)

    return over_samples(curve, chosen)


def over_samples(
    function: Callable[[Array], Array], chosen: Int[Array, "turns at_once F"]
) -> Array:
    """``function`` of how often each fold is in a sample, (F,), for all samples."""

    def of_draw(chosen: Int[Array, " F"]) -> Array:
        return function(jnp.bincount(chosen, length=len(chosen)))

    each = jax.lax.map(jax.vmap(of_draw), chosen)
    return each.reshape(-1, *each.shape[2:])


def merged(folds: Moments, counts: Int[Array, " F"]) -> Moments:
    """The Moments of a sample that holds each fold so often."""
    return replace(folds, products=weighted_sum(counts, folds.products))


def weighted_sum(weights: Array, products: Array) -> Array:
    """Σ_f weight_f·products_f of (F, ...) in float64; on a TPU, which has no float64 products, term
    by term.
    """
    return on_platform(float64_inside(_product), _sum_of_terms, weights, products)


def _product(weights: Array, products: Array) -> Array:
    return jnp.tensordot(weights.astype(products.dtype), products, axes=1)


def _sum_of_terms(weights: Array, products: Array) -> Array:
    column = weights.astype(products.dtype).reshape(-1, *(1,) * (products.ndim - 1))
    return jnp.sum(column * products, axis=0)


def _as_batch(folds: Any, name: str) -> Moments:
    remedy = "pass a list of moments(features, targets), one of each part of the rows"
    if isinstance(folds, list | tuple):
        for i, fold in enumerate(folds):
            require_kind(fold, Moments, f"{name}[{i}]", remedy)
        return Moments.stack(folds)
    require_kind(folds, Moments, name, remedy)
    return folds


def as_folds(folds: Moments | Sequence[Moments], name: str) -> Moments:
    """The Moments of two folds or more, as one batch.

    Raises:
      ValueError, TypeError: as ``bootstrap_curves``.
    """
    stacked = _as_batch(folds, name)
    products = stacked.products
    if products.ndim != 3 or len(products) < 2:
        raise ValueError(
            f"{name} must be at least 2 Moments, found products of shape {products.shape}; "
            "split the rows: jax.vmap(moments)(features.reshape(F, n // F, d), "
            "targets.reshape(F, n // F, k))"
        )
    if stacked.passes != 1:
        raise ValueError(f"{name} must be moments of a first pass, found those of a second")
    known = known_values(products)
    if known is not None:
        weights = known[:, stacked.width, stacked.width]
        if not (weights > 0).all():
            raise ValueError(f"{name} must hold rows, found one of weight {weights.min():g}")
    return stacked
