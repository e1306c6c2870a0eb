"""Thresholds τ as numbers to compare with."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import as_dtype, as_real_floats, as_real_numbers, require_finite


def as_levels(values: ArrayLike, name: str, dtype: Any) -> Array:
    """τ, finite, in the dtype of what is compared with it. A τ > 0 stays above 0, at which
    everything counts.
    """
    numbers = as_numbers(values, name)
    if isinstance(numbers, np.ndarray) and numbers.dtype == np.float64:
        tiny = float(jnp.finfo(dtype).tiny)
        is_tiny = (numbers != 0) & (np.abs(numbers) < tiny)
        numbers = np.where(is_tiny, np.copysign(tiny, numbers), numbers)
    levels = as_dtype(as_real_floats(numbers, name), dtype)
    require_finite(levels, name)
    return levels


def as_thresholds(values: ArrayLike, name: str = "thresholds") -> np.ndarray:
    """τ as a non-empty float32 vector (t,), read now."""
    tau = np.asarray(as_real_numbers(values, name), np.float32)
    if tau.ndim != 1 or tau.size == 0:
        raise ValueError(f"{name} must be a non-empty list of numbers, found shape {tau.shape}")
    if not np.isfinite(tau).all():
        raise ValueError(f"{name} must be finite, found {tau[~np.isfinite(tau)].tolist()}")
    return tau
