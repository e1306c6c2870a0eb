"""Checks of array arguments: shapes always, values where they can be read (eager calls)."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float


def as_real_floats(x: ArrayLike, name: str) -> Array:
    """``x`` as a float32 or float64 array: integers, booleans and 16-bit floats are widened to
    float32.
    """
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(
            f"{name} must be real, found dtype {x.dtype}; "
            "pass its real and imaginary parts as columns"
        )
    return as_dtype(x, jnp.promote_types(x.dtype, jnp.float32))


def as_dtype(x: Array, dtype: jnp.dtype) -> Array:
    """``x`` in a dtype."""
    # Even a cast that changes nothing takes jax some µs.
    if x.dtype == dtype:
        return x
    return x.astype(dtype)


def is_concrete(x: ArrayLike) -> bool:
    """Whether the values of ``x`` can be read now, outside every trace."""
    return not isinstance(x, jax.core.Tracer)


def is_on_host(*arrays: Array) -> bool:
    """Whether all values can be read now, each array on one CPU device."""
    return all(
        is_concrete(x) and [device.platform for device in x.devices()] == ["cpu"] for x in arrays
    )


def require_finite(x: Array, name: str) -> None:
    """Raise if ``x`` holds NaN or Inf.

    A traced ``x`` passes: inside ``jit`` NaN goes in and NaN comes out.
    """
    if not is_concrete(x):
        return
    # The two fast tests may fail for large finite values, never pass for NaN or Inf.
    if is_on_host(x) and _has_finite_square(np.asarray(x).ravel(order="K")):
        return
    with jax.ensure_compile_time_eval():
        if bool(_has_finite_sum(x)) or bool(_all_finite(x)):
            return
        places = np.argwhere(~np.isfinite(np.asarray(x, np.float64)))
    first = tuple(int(i) for i in places[0])
    raise ValueError(
        f"{name} must be finite, found {len(places)} NaN or Inf among {x.size} values "
        f"(the first at index {first}); drop or mend those rows of {name}"
    )


def _has_finite_square(flat: np.ndarray) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.dot(flat, flat)))  # at the speed of memory


@jax.jit
def _has_finite_sum(x: Array) -> Array:
    return jnp.isfinite(x.sum())  # in a quarter of the time of the elementwise test


@jax.jit
def _all_finite(x: Array) -> Array:
    return jnp.isfinite(x).all()


def require_matrix(x: Array, name: str, columns: str) -> None:
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


def as_target_matrix(targets: ArrayLike) -> Float[Array, "n k"]:
    """Y (n, k), float32 at least; (n,) floats become one column; (n,) and (n, 1) of any other dtype
    are refused as class labels.
    """
    y = jnp.asarray(targets)
    is_column = y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1)
    if is_column and not jnp.issubdtype(y.dtype, jnp.floating):
        raise ValueError(
            f"targets must be real-valued, found {y.dtype} of shape {y.shape}; "
            "pass encode_targets(labels), or floats to regress on"
        )
    y = as_real_floats(y[:, None] if y.ndim == 1 else y, "targets")
    require_matrix(y, "targets", "k")
    return y


def as_matrices(
    features: ArrayLike, targets: ArrayLike
) -> tuple[Float[Array, "n d"], Float[Array, "n k"]]:
    """Φ (n, d) and Y (n, k), finite, in the features' dtype, float32 at least; anything else is
    refused.
    """
    features = as_real_floats(features, "features")
    require_matrix(features, "features", "d")
    targets = as_target_matrix(targets)
    n, d = features.shape
    if n != len(targets):
        hint = "; features look transposed, pass features.T" if d == len(targets) else ""
        raise ValueError(
            f"features and targets must have as many rows, found features {n} "
            f"and targets {len(targets)}{hint}"
        )
    require_finite(features, "features")
    require_finite(targets, "targets")
    return features, as_dtype(targets, features.dtype)


def as_weighted_rows(
    features: ArrayLike, targets: ArrayLike, weights: ArrayLike | None
) -> tuple[Float[Array, "n d"], Float[Array, "n k"], Float[Array, " n"] | None]:
    """Φ and Y as ``as_matrices`` returns them, and w (n,). Rows of weight 0 may hold anything; they
    are set to 0.
    """
    if weights is None:
        return *as_matrices(features, targets), None
    w = as_real_floats(weights, "weights")
    if w.shape != jnp.shape(features)[:1]:
        raise ValueError(
            f"weights must have shape (n,) = {jnp.shape(features)[:1]}, "
            f"one per row of features, found {w.shape}"
        )
    require_finite(w, "weights")
    if is_concrete(w) and bool((w < 0).any()):
        raise ValueError(f"weights must not be negative, found {float(w.min())}")
    return *as_matrices(_without(w == 0, features), _without(w == 0, targets)), w


def _without(masked: Array, rows: ArrayLike) -> Array:
    """``rows``, the masked ones replaced by 0, also where they hold NaN."""
    rows = jnp.asarray(rows)
    return jnp.where(masked.reshape(-1, *(1,) * (rows.ndim - 1)), jnp.zeros((), rows.dtype), rows)


def as_thresholds(values: ArrayLike, name: str = "thresholds") -> np.ndarray:
    """τ as a non-empty float32 vector (t,), read now."""
    tau = np.asarray(values, np.float32)
    if tau.ndim != 1 or tau.size == 0:
        raise ValueError(f"{name} must be a non-empty list of numbers, found shape {tau.shape}")
    if not np.isfinite(tau).all():
        raise ValueError(f"{name} must be finite, found {tau[~np.isfinite(tau)].tolist()}")
    return tau
