"""Checks of rows with weights: Φ, Y and w (n,)."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import (
    as_matrices,
    as_real_floats,
    as_target_matrix,
    as_target_numbers,
    require_finite,
)
from jaxalign._core.known import is_concrete

# Roots of smaller ones make rows of zeros in float32.
_LEAST_WEIGHT = 1e-60


def as_row_numbers(
    features: ArrayLike, targets: ArrayLike, weights: ArrayLike | None
) -> tuple[Array | np.ndarray, Array | np.ndarray, Array | np.ndarray | None]:
    """Φ, Y and w as ``as_numbers`` reads them."""
    phi = as_numbers(features, "features")
    w = None if weights is None else as_numbers(weights, "weights")
    return phi, as_target_numbers(targets, [phi]), w


def as_weighted_rows(
    features: ArrayLike, targets: ArrayLike, weights: ArrayLike | None
) -> tuple[Float[Array, "n d"], Float[Array, "n k"], Float[Array, " n"] | None]:
    """Φ and Y as ``as_matrices`` returns them, and w (n,). Rows of weight 0 may hold anything; they
    are set to 0.
    """
    if weights is None:
        return *as_matrices(features, targets), None
    features = as_real_floats(features, "features")
    targets = as_target_matrix(targets)
    w = as_real_floats(weights, "weights")
    if w.shape != features.shape[:1]:
        raise ValueError(
            f"weights must have shape (n,) = {features.shape[:1]}, "
            f"one per row of features, found {w.shape}"
        )
    require_finite(w, "weights")
    if is_concrete(w):
        _require_weights(w)
    return *as_matrices(_without(w == 0, features), _without(w == 0, targets)), w


def _require_weights(w: Float[Array, " n"]) -> None:
    # At once, also of constants inside jit. Not by numpy: they may lie on several hosts.
    with jax.ensure_compile_time_eval():
        least = float(jnp.min(w, initial=0))
        most = float(jnp.max(w, initial=0))
    if least < 0:
        raise ValueError(f"weights must not be negative, found {least}")
    if 0 < most < _LEAST_WEIGHT:
        raise ValueError(
            f"weights must not all be below {_LEAST_WEIGHT:.0e}, found weights up to "
            f"{most:.1e}; divide them by their sum"
        )


def _without(masked: Array, rows: Array) -> Array:
    """``rows``, the masked ones replaced by 0, also where they hold NaN."""
    return jnp.where(masked.reshape(-1, *(1,) * (rows.ndim - 1)), jnp.zeros((), rows.dtype), rows)
