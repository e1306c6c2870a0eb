"""Checks of array arguments: shapes always, values where they can be read (eager calls)."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike


def as_real_floats(x: ArrayLike, name: str) -> Array:
    """``x`` as a float32 or float64 array: integers, booleans and 16-bit floats are widened to
    float32.
    """
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(
            f"{name} must be real, found dtype {x.dtype}; pass its real and imaginary parts as columns"
        )
    return as_dtype(x, jnp.promote_types(x.dtype, jnp.float32))


def as_dtype(x: Array, dtype: jnp.dtype) -> Array:
    """``x`` in a dtype; no operation, which takes jax some µs, where it has it already."""
    return x if x.dtype == dtype else x.astype(dtype)


def is_concrete(x: ArrayLike) -> bool:
    """Whether the values of ``x`` can be read now, outside every trace."""
    return not isinstance(x, jax.core.Tracer)


def is_on_host(*arrays: Array) -> bool:
    """Whether all values can be read now, and lie on one CPU device."""
    return all(
        is_concrete(x) and [device.platform for device in x.devices()] == ["cpu"] for x in arrays
    )


def require_finite(x: Array, name: str) -> None:
    """Raise if ``x`` holds NaN or Inf; a traced ``x`` passes (inside ``jit`` NaN goes in and NaN
    comes out).
    """
    if not is_concrete(x) or (is_on_host(x) and _has_finite_square(np.asarray(x).ravel(order="K"))):
        return
    with jax.ensure_compile_time_eval():
        if bool(_has_finite_sum(x)) or bool(_all_finite(x)):
            return
        places = np.argwhere(~np.isfinite(np.asarray(x, np.float64)))
    bad, where = len(places), tuple(int(i) for i in places[0])
    raise ValueError(
        f"{name} must be finite, found {bad} NaN or Inf among {x.size} values (the first at index {where}); "
        f"drop or mend those rows of {name}"
    )


def _has_finite_square(flat: np.ndarray) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.dot(flat, flat)))  # at the speed of memory


@jax.jit
def _has_finite_sum(x: Array) -> Array:
    return jnp.isfinite(
        x.sum()
    )  # no NaN or Inf gets lost in it, and it takes a quarter of the time


@jax.jit
def _all_finite(x: Array) -> Array:
    return jnp.isfinite(x).all()


def require_matrix(x: Array, name: str, columns: str) -> None:
    """Raise unless ``x`` is a non-empty (n, ``columns``) matrix."""
    if x.ndim != 2:
        raise ValueError(
            f"{name} must be a matrix (n, {columns}), found shape {x.shape}; "
            + ("pass prepare(activations)" if columns == "d" else "pass encode_targets(labels)")
        )
    if 0 in x.shape:
        raise ValueError(
            f"{name} must not be empty, found shape {x.shape}; pass at least one row and one column"
        )


def as_target_matrix(targets: ArrayLike) -> Array:
    """Y (n, k), float32 at least; (n,) floats are one column, (n,) of anything else is taken for
    labels and refused.
    """
    y = jnp.asarray(targets)
    if y.ndim == 1:
        if not jnp.issubdtype(y.dtype, jnp.floating):
            raise ValueError(
                f"targets must be real-valued, found {y.dtype} of shape {y.shape}; pass encode_targets(labels)"
            )
        y = y[:, None]
    y = as_real_floats(y, "targets")
    require_matrix(y, "targets", "k")
    return y


def as_matrices(features: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    """Φ (n, d) and Y (n, k) in the features' dtype, float32 at least; raises for everything that
    makes no such pair.
    """
    features = as_real_floats(features, "features")
    require_matrix(features, "features", "d")
    targets = as_target_matrix(targets)
    n, d = features.shape
    if n != len(targets):
        turned = "; features look transposed, pass features.T" if d == len(targets) else ""
        raise ValueError(
            f"features and targets must have as many rows, found features {n} and targets {len(targets)}{turned}"
        )
    require_finite(features, "features")
    require_finite(targets, "targets")
    return features, as_dtype(targets, features.dtype)


def as_weighted_rows(
    features: ArrayLike, targets: ArrayLike, weights: ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    """Φ and Y as ``as_matrices`` has them and w (n,); rows of weight 0 may hold anything, and hold
    0 from here on.
    """
    if weights is None:
        return *as_matrices(features, targets), None
    w = as_real_floats(weights, "weights")
    if w.shape != jnp.shape(features)[:1]:
        raise ValueError(
            f"weights must have shape (n,) = {jnp.shape(features)[:1]}, one a row of features, found {w.shape}"
        )
    require_finite(w, "weights")
    if is_concrete(w) and bool((w < 0).any()):
        raise ValueError(f"weights must not be negative, found {float(w.min())}")
    return *as_matrices(_without(w == 0, features), _without(w == 0, targets)), w


def _without(masked: Array, rows: ArrayLike) -> Array:
    """``rows`` with 0 for whatever the masked ones hold, NaN included."""
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
