"""From the activations of a layer to the representation matrix Φ (n, d)."""

from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import as_real_floats, require_finite, require_matrix
from jaxalign._core.float64 import exactly, of_jax_or_numpy
from jaxalign._core.kinds import require_choice, require_flag
from jaxalign._core.known import is_concrete
from jaxalign._core.warn import warn

Reduce = Literal["flatten", "mean", "samples", "cls"]

INPUT = "input"
"""The name of the inputs themselves among a model's layers."""

OUTPUTS = "outputs"
"""The name under which measures of a model's outputs are logged."""

_LARGE = 2 * 2**30


class WidthWarning(UserWarning):
    """A map was flattened to so many features d that d × d numbers, as in moments, may not fit in
    memory.
    """


def prepare(
    activations: ArrayLike,
    *,
    bias: bool = True,
    normalize: bool = True,
    reduce: Reduce = "flatten",
    mask: ArrayLike | None = None,
) -> Float[Array | np.ndarray, "n d"]:
    """The representation matrix Φ of a layer: pooled, a 1 appended to each row, unit rows.

    That is ``unit_rows(pool(activations))``: φ_i ← (φ_i, 1) / ‖(φ_i, 1)‖₂.

    The column of ones takes the place of the bias of a linear head. With unit rows Σσ_i² = n and
    σ_1 ≤ √n, which makes layers comparable. Nothing is centred. A row of zeros (possible only with
    ``bias=False``) stays zero.

    Args:
      activations: (n, ...) real values of one layer on n samples, features (channels) last. Move
        those of torch's maps there: ``maps.movedim(1, -1)``. float64 and integers beyond 2²⁴ become
        float64 (an array of numpy where x64 is off), everything else float32.
      bias: append the column of ones.
      normalize: divide every row, its 1 included, by its L2 norm.
      reduce: what becomes of axes between the first and the last. "flatten" makes them features.
        "mean" averages over them (global average pooling). "samples" makes each position a row,
        (n·positions, d), so that targets must be repeated as often. "cls" keeps the first position.
      mask: for "mean": (n, ...), the shape of ``activations`` without the last axis; True or 1 for
        positions that count. The others, padding, may hold anything. With "samples", pass
        ``mask.ravel()`` as weights to ``moments``.

    Returns:
      Φ, (n, d) or, with the bias, (n, d + 1).

    Raises:
      ValueError: activations of rank < 2, empty, or not finite (eager calls); an unknown
        ``reduce``; a mask of another shape, with another ``reduce``, of other values than 0 and 1
        or without a position in some row (eager calls; a traced row without one becomes NaN).
      TypeError: complex activations; a mask that is neither boolean nor of integers.

    Warns:
      WidthWarning: "flatten" of rank > 2 gives so many features d that d × d moments take more than
        2 GiB.

    Example:
      >>> import jaxalign as ja
      >>> ja.prepare([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]]).tolist()
      [[0.588..., 0.784..., 0.0, 0.196...], [0.0, 0.0, 0.0, 1.0]]
      >>> tokens = [[[1.0], [3.0], [float("nan")]]]
      >>> settings = {"bias": False, "normalize": False, "reduce": "mean"}
      >>> ja.prepare(tokens, **settings, mask=[[True, True, False]]).tolist()
      [[2.0]]

    Source: Imani, Hu, White (TMLR 2022), the order of steps as in the authors' demo notebook.
    """
    require_flag(bias, "bias")
    require_flag(normalize, "normalize")

    def run(x: Array | np.ndarray, counted: Array | np.ndarray | None) -> Array:
        pooled = _pooled(x, reduce, counted)
        if normalize:
            return _unit_rows(pooled, bias)
        if bias:
            return _with_ones(pooled)
        return pooled

    return of_jax_or_numpy(exactly(run, *_numbers(activations, mask), by_rows=True))


def pool(
    activations: ArrayLike, *, reduce: Reduce = "flatten", mask: ArrayLike | None = None
) -> Float[Array | np.ndarray, "n d"]:
    """The first half of ``prepare``: the activations of a layer as a matrix, one row per sample.

    Comparisons of two representations start here: without a bias column and without unit rows.

    Args:
      activations: (n, ...) real values of one layer on n samples.
      reduce: as in ``prepare``.
      mask: as in ``prepare``.

    Returns:
      (n, d), float64 for float64 activations, else float32.

    Raises:
      as ``prepare``.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> maps = jnp.ones((2, 4, 4, 3))
      >>> ja.pool(maps, reduce="mean").shape, ja.pool(maps).shape
      ((2, 3), (2, 48))

    Source: ours.
    """

    def run(x: Array | np.ndarray, counted: Array | np.ndarray | None) -> Array:
        return _pooled(x, reduce, counted)

    return of_jax_or_numpy(exactly(run, *_numbers(activations, mask), by_rows=True))


def unit_rows(features: ArrayLike, *, bias: bool = True) -> Float[Array | np.ndarray, "n d"]:
    """The second half of ``prepare``: a column of ones, then φ_i ← φ_i / ‖φ_i‖₂.

    Args:
      features: (n, d) real values.
      bias: append the column of ones.

    Returns:
      Φ, (n, d) or, with the bias, (n, d + 1). A row of zeros stays zero.

    Raises:
      ValueError: features that are not a matrix, or not finite (eager calls).
      TypeError: complex features.

    Example:
      >>> import jaxalign as ja
      >>> ja.unit_rows([[3.0, 4.0]], bias=False).tolist()
      [[0.6..., 0.8...]]

    Source: Imani, Hu, White (TMLR 2022), as in the authors' demo notebook.
    """
    require_flag(bias, "bias")

    def run(x: Array | np.ndarray) -> Array:
        x = as_real_floats(x, "features")
        require_matrix(x, "features", "d")
        require_finite(x, "features")
        return _unit_rows(x, bias)

    return of_jax_or_numpy(exactly(run, as_numbers(features, "features"), by_rows=True))


def _numbers(
    activations: ArrayLike, mask: ArrayLike | None
) -> tuple[Array | np.ndarray, Array | np.ndarray | None]:
    counted = None if mask is None else as_numbers(mask, "mask")
    return as_numbers(activations, "activations"), counted


@partial(jax.jit, static_argnums=(1,))
def _unit_rows(x: Float[Array, "n d"], bias: bool) -> Float[Array, "n width"]:
    if bias:
        x = _with_ones(x)
    # Divided by the largest entry first, so that squares neither overflow nor vanish. The result
    # does not depend on that divisor, hence neither does the derivative.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=1, keepdims=True))
    is_zero = largest == 0
    # XLA multiplies by the reciprocal, which has to be an ordinary number too.
    factor = jnp.where(largest < 1, 4.0, 0.25).astype(x.dtype)
    x = (x * factor) / jnp.where(is_zero, 1, largest * factor)
    squares = jnp.sum(x * x, axis=1, keepdims=True)
    return x / jnp.sqrt(jnp.where(is_zero, 1, squares))


def _with_ones(x: Array) -> Array:
    return jnp.concatenate([x, jnp.ones((x.shape[0], 1), x.dtype)], axis=1)


def _pooled(
    activations: Array | np.ndarray, reduce: Reduce, mask: Array | np.ndarray | None
) -> Array:
    require_choice(reduce, get_args(Reduce), "reduce")
    x = as_real_floats(activations, "activations")
    if x.ndim < 2:
        raise ValueError(
            "activations must have samples first and at least one feature axis, (n, ...), "
            f"found shape {x.shape}; for one feature a sample pass activations[:, None]"
        )
    if 0 in x.shape:
        raise ValueError(
            f"activations must not be empty, found shape {x.shape}; "
            "pass at least one sample and one feature"
        )
    counted = None
    if mask is not None:
        counted = jnp.asarray(_counted_positions(mask, x.shape, reduce))[..., None]
        x = jnp.where(counted, x, 0)
    require_finite(x, "activations")
    if reduce == "flatten" and x.ndim > 2:
        _warn_of_width(x.shape)
    return _to_matrix(x, reduce, counted)


def _to_matrix(x: Array, reduce: Reduce, counted: Array | None) -> Array:
    match reduce:
        case "flatten":
            return x.reshape(x.shape[0], -1)
        case "mean":
            return _mean_over_positions(x, counted)
        case "samples":
            return x.reshape(-1, x.shape[-1])
    return x[(slice(None), *(0,) * (x.ndim - 2))]  # "cls", the first position


def _mean_over_positions(x: Array, counted: Array | None) -> Float[Array, "n d"]:
    axes = tuple(range(1, x.ndim - 1))
    positions = int(np.prod(x.shape[1:-1]))
    # Divided by a power of two, which rounds nothing, so that no sum of large values overflows.
    share = 2.0 ** -positions.bit_length()
    total = jnp.sum(x * share, axis=axes)
    if counted is None:
        return total / (share * positions)
    return total / (share * jnp.sum(counted, axis=axes, dtype=x.dtype))


def _counted_positions(
    counted: Array | np.ndarray, shape: tuple[int, ...], reduce: str
) -> Array | np.ndarray:
    """A mask (n, ...) as booleans; what is not such a mask is refused."""
    if reduce != "mean":
        remedy = ""
        if reduce == "samples":
            remedy = "; pass mask.ravel() as weights to moments(features, targets, weights)"
        raise ValueError(f"mask goes with reduce='mean', found reduce={reduce!r}{remedy}")
    if len(shape) < 3:
        raise ValueError(
            f"mask needs activations with positions, (n, positions, d), found activations {shape}"
        )
    if counted.shape != shape[:-1]:
        raise ValueError(
            f"mask must have shape {shape[:-1]}, that of activations without the last axis, "
            f"found {counted.shape}"
        )
    if not (counted.dtype == bool or jnp.issubdtype(counted.dtype, jnp.integer)):
        raise TypeError(
            f"mask must be boolean, or integers 0 and 1, found {counted.dtype}; pass mask > 0"
        )
    if is_concrete(counted):
        _require_mask_values(np.asarray(counted).reshape(shape[0], -1))
    return counted.astype(bool)


def _require_mask_values(mask: np.ndarray) -> None:
    if not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"mask must hold 0 and 1 only, found {mask.min()} ... {mask.max()}; pass mask > 0"
        )
    empty = np.flatnonzero(~mask.any(axis=1))
    if empty.size:
        raise ValueError(
            "mask must keep a position of every row, "
            f"found none in {empty.size} rows, as in row {empty[0]}"
        )


def _warn_of_width(shape: tuple[int, ...]) -> None:
    n = shape[0]
    d = int(np.prod(shape[1:]))
    if 8 * d**2 <= _LARGE:
        return
    message = (
        f"flattening activations {shape} makes d = {d} features, whose d × d moments (streams, "
        f"sums over devices) take {8 * d**2 / 2**30:,.0f} GiB; reduce='mean' makes d = {shape[-1]}"
    )
    if n < d:
        message += f", and spectrum(features, targets) of all n = {n} < d rows at once needs n × n"
    warn(message, WidthWarning)
