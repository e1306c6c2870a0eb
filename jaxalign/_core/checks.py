"""Checks of array arguments: shapes always, values where they can be read (eager calls)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers, in_program, narrowed, needs_float64
from jaxalign._core.kinds import require_known_sizes
from jaxalign._core.known import is_concrete, is_on_host


def as_real_floats(x: ArrayLike, name: str) -> Array:
    """``x`` as a float32 or float64 array: float64 and integers beyond 2²⁴ become float64 where x64
    is on, everything else float32.
    """
    numbers = as_real_numbers(x, name)
    # Even an asarray that changes nothing takes jax some µs.
    return jnp.asarray(numbers) if isinstance(numbers, np.ndarray) else numbers


def as_real_numbers(x: ArrayLike, name: str) -> Array | np.ndarray:
    """``as_real_floats``, where what does not lie on a device stays on the host."""
    x = as_numbers(x, name)
    dtype = np.dtype(np.float32)
    if needs_float64(x):
        dtype = jax.dtypes.canonicalize_dtype(np.float64)
    if isinstance(x, np.ndarray):
        return x if x.dtype == dtype else narrowed(x, dtype, name)
    if x.dtype == np.float64:
        return x
    return as_dtype(x, dtype)


def as_program_array(x: ArrayLike, name: str) -> Array:
    """``as_program_numbers`` on the device."""
    return jnp.asarray(as_program_numbers(x, name))


def as_program_numbers(x: ArrayLike, name: str) -> Array | np.ndarray:
    """``in_program`` of data, whose columns keep their spread.

    Raises:
      ValueError: as ``in_program``; a column of float64 that varies by less than its rounding in
        float32.
    """
    x = as_numbers(x, name)
    result = in_program(x, name)
    if x.dtype != result.dtype and x.size and jnp.issubdtype(result.dtype, jnp.floating):
        _require_spread(np.asarray(x), np.asarray(result), name)
    return result


def _require_spread(x: np.ndarray, rounded: np.ndarray, name: str) -> None:
    """Raise for a column of which rounding changes a hundredth of the spread about its mean."""
    if x.ndim == 0 or not np.isfinite(x).all():
        return
    error = np.abs(x - rounded).max(axis=0)
    spread = np.std(x, axis=0)
    # The spread of a constant is its rounding.
    varies = x.max(axis=0) > x.min(axis=0)
    lost = (error > 0.01 * spread) & varies
    if lost.any():
        mean = float(np.mean(x, axis=0)[lost].flat[0])
        raise ValueError(
            f"{name} must vary by more than their rounding in {rounded.dtype}, found a column "
            f"that varies by {float(spread[lost].flat[0]):.1e} about {mean:.1e}; subtract the mean"
        )


def as_dtype(x: Any, dtype: Any) -> Any:
    """``x`` in a dtype."""
    # Even a cast that changes nothing takes jax some µs.
    if x.dtype == dtype:
        return x
    return x.astype(dtype)


def require_finite(x: Array | np.ndarray, name: str) -> None:
    """Raise if ``x`` holds NaN or Inf.

    A traced ``x`` passes: inside ``jit`` NaN goes in and NaN comes out.
    """
    if not is_concrete(x) or not jnp.issubdtype(x.dtype, jnp.floating):
        return
    # The two fast tests may fail for large finite values, never pass for NaN or Inf.
    if isinstance(x, np.ndarray) or is_on_host(x):
        flat = np.asarray(x).ravel(order="K")
        square = _square_of(flat)
        if square < _SMALL_SQUARE:
            _require_ordinary(flat, name)
        if np.isfinite(square):
            return
    with jax.ensure_compile_time_eval():
        # An array of numpy may hold what jax, with x64 off, does not.
        if isinstance(x, np.ndarray):
            is_finite = bool(np.isfinite(x).all())
        else:
            is_finite = bool(_has_finite_sum(x)) or bool(_all_finite(x))
        if is_finite:
            return
        places = np.argwhere(~np.isfinite(np.asarray(x, np.float64)))
    first = tuple(int(i) for i in places[0])
    raise ValueError(
        f"{name} must be finite, found {len(places)} NaN or Inf among {x.size} values "
        f"(the first at index {first}); drop or correct those rows of {name}"
    )


# Below, all numbers may be so small that XLA takes them for 0.
_SMALL_SQUARE = 1e-30


def _square_of(flat: np.ndarray) -> float:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return float(np.dot(flat, flat))  # at the speed of memory


def power_of_ten(size: float) -> float:
    """The nearest one, by which numbers of this size are divided to be ordinary."""
    return 10.0 ** round(np.log10(size))


def _require_ordinary(flat: np.ndarray, name: str) -> None:
    """Raise where numbers that XLA takes for 0 are more than rounding next to the largest."""
    info = jnp.finfo(flat.dtype)
    sizes = np.abs(flat)
    largest = float(np.max(sizes, initial=0))
    is_lost = (sizes > 0) & (sizes < info.tiny)
    if is_lost.any() and largest < float(info.tiny) / float(info.eps):
        raise ValueError(
            f"{name} must be larger than the {float(info.tiny):.1e} that programs take for 0, "
            f"found {name} up to {largest:.1e}; divide {name} by {power_of_ten(largest):.0e}"
        )


@jax.jit
def _has_finite_sum(x: Array) -> Array:
    return jnp.isfinite(x.sum())  # in a quarter of the time of the elementwise test


@jax.jit
def _all_finite(x: Array) -> Array:
    return jnp.isfinite(x).all()


def require_matrix(x: Array | np.ndarray, name: str, columns: str) -> None:
    """Raise unless ``x`` is a non-empty (n, ``columns``) matrix."""
    if x.ndim != 2:
        remedy = "prepare(activations)" if columns == "d" else "encode_targets(labels)"
        raise ValueError(
            f"{name} must be a matrix (n, {columns}), found shape {x.shape}; pass {remedy}"
        )
    if 0 in x.shape:
        raise ValueError(
            f"{name} must not be empty, found shape {x.shape}; pass at least one row and one column"
        )


def as_target_numbers(
    targets: ArrayLike, features: Sequence[Array | np.ndarray]
) -> Array | np.ndarray:
    """Y (n, k) or (n,) as ``as_numbers`` reads it. Beside features of float32, float64 becomes
    float32 where that changes no result, centred or not, by more than float32's rounding.
    """
    y = as_numbers(targets, "targets")
    if not isinstance(y, np.ndarray) or any(map(needs_float64, features)):
        return y
    if y.dtype == np.float64 and _may_be_rounded(y):
        return y.astype(np.float32)
    return y


# Up to this share of a column's spread, its size costs float32 no more than two binary digits.
_SIZE_OF_SPREAD = 8
# Squares of numbers in this range, and their sums, are ordinary in float32.
_SQUARES = (1e-15, 1e15)


def _may_be_rounded(y: Float[np.ndarray, "*shape"]) -> bool:
    """Whether rounding to float32 is small next to the spread of each column about its mean."""
    if y.size == 0 or not np.isfinite(y).all():
        return True  # refused later
    size = np.abs(y).max(axis=0)
    with np.errstate(over="ignore"):
        spread = np.std(y, axis=0)
        is_exact = (y == y.astype(np.float32)).all(axis=0)
    is_ordinary = (size > _SQUARES[0]) & (size < _SQUARES[1]) & (size <= _SIZE_OF_SPREAD * spread)
    return bool((is_ordinary | is_exact).all())


def as_target_matrix(targets: ArrayLike) -> Float[Array, "n k"]:
    """Y (n, k), float32 at least; (n,) floats become one column; (n,) and (n, 1) of any other dtype
    are refused as class labels.
    """
    return jnp.asarray(_as_matrix_of_targets(targets))


def _as_matrix_of_targets(targets: ArrayLike) -> Float[Array | np.ndarray, "n k"]:
    """``as_target_matrix``, where what does not lie on a device stays on the host."""
    y = as_numbers(targets, "targets")
    require_no_labels(y)
    if y.ndim == 1:
        # Of an array on the host, a view costs a thirtieth of an operation of jax.
        y = (np.asarray(y) if is_on_host(y) else y)[:, None]
    y = as_real_numbers(y, "targets")
    require_matrix(y, "targets", "k")
    return y


def require_no_labels(targets: Array | np.ndarray) -> None:
    """Raise for one column (..., n, 1), or (n,), of other numbers than floats: class labels."""
    is_column = targets.ndim == 1 or targets.shape[-1:] == (1,)
    if is_column and not jnp.issubdtype(targets.dtype, jnp.floating):
        raise ValueError(
            f"targets must be real-valued, found {targets.dtype} of shape {targets.shape}; "
            "pass encode_targets(labels), or floats to regress on"
        )


def as_matrices(
    features: ArrayLike, targets: ArrayLike
) -> tuple[Float[Array, "n d"], Float[Array, "n k"]]:
    """Φ (n, d) and Y (n, k), finite, float32 at least, Y in the features' dtype or a wider one;
    anything else is refused.
    """
    phi, y = as_matrices_of_numbers(features, targets)
    return jnp.asarray(phi), jnp.asarray(y)


def as_matrices_of_numbers(
    features: ArrayLike, targets: ArrayLike
) -> tuple[Float[Array | np.ndarray, "n d"], Float[Array | np.ndarray, "n k"]]:
    """``as_matrices``, where what does not lie on a device stays on the host."""
    phi = as_real_numbers(features, "features")
    require_matrix(phi, "features", "d")
    require_known_sizes(phi.shape, "features")
    y = _as_matrix_of_targets(targets)
    n, d = phi.shape
    if n != len(y):
        hint = "; features look transposed, pass features.T" if d == len(y) else ""
        raise ValueError(
            f"features and targets must have as many rows, found features {n} "
            f"and targets {len(y)}{hint}"
        )
    require_finite(phi, "features")
    require_finite(y, "targets")
    return phi, as_dtype(y, np.promote_types(y.dtype, phi.dtype))
