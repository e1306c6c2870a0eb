"""From what a network and a data set give to the two matrices of the measure: Φ (n, d) and Y (n,
k).
"""

import warnings
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.checks import as_real_floats, is_concrete, require_finite, require_matrix

Reduce = Literal["flatten", "mean", "samples", "cls"]

INPUT = "input"
"""The name of the inputs themselves among a model's layers."""

_LARGE = 2 * 2**30


class WidthWarning(UserWarning):
    """A map was flattened to so many features d that what takes d × d numbers, as moments do, may
    not fit in memory.
    """


def prepare(
    activations: ArrayLike,
    *,
    bias: bool = True,
    normalize: bool = True,
    reduce: Reduce = "flatten",
    mask: ArrayLike | None = None,
) -> Float[Array, "n d"]:
    """The representation matrix Φ of a layer: pooled, a 1 appended to each row, unit rows.

    That is ``unit_rows(pool(activations))``: φ_i ← (φ_i, 1) / ‖(φ_i, 1)‖₂.

    The column of ones stands in for the bias of a linear head; with unit rows Σσ_i² = n and σ_1 ≤
    √n, which makes layers comparable. Nothing is centred. A row of zeros (possible only with
    ``bias=False``) stays zero.

    Args:
      activations: (n, ...) real values of one layer on n samples. float64 stays, everything else
        becomes float32.
      bias: append the column of ones.
      normalize: divide every row, its 1 included, by its L2 norm.
      reduce: what becomes of axes between the first and the last: "flatten" makes them features;
        "mean" averages over them (global average pooling); "samples" makes each position a row,
        (n·positions, d), so that targets must be repeated as often; "cls" keeps the first position.
      mask: for "mean": (n, ...), the shape of ``activations`` without the last axis; the positions
        that count, True or 1. The others, padding, may hold anything. With "samples", pass
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
      >>> ja.prepare(tokens, bias=False, normalize=False, reduce="mean", mask=[[True, True, False]]).tolist()
      [[2.0]]

    Source: Imani, Hu, White (TMLR 2022), the order of steps as in the authors' demo notebook.
    """
    features = _pooled(activations, reduce, mask)
    if normalize:
        return unit_rows(features, bias=bias)
    return _with_ones(features) if bias else features


def pool(
    activations: ArrayLike, *, reduce: Reduce = "flatten", mask: ArrayLike | None = None
) -> Float[Array, "n d"]:
    """The first half of ``prepare``: the activations of a layer as a matrix, a row a sample.

    What compares two representations starts here: neither a bias column nor unit rows.

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
      >>> ja.pool(jnp.ones((2, 4, 4, 3)), reduce="mean").shape, ja.pool(jnp.ones((2, 4, 4, 3))).shape
      ((2, 3), (2, 48))

    Source: ours.
    """
    return _pooled(activations, reduce, mask)


def unit_rows(features: ArrayLike, *, bias: bool = True) -> Float[Array, "n d"]:
    """The second half of ``prepare``: a column of ones, then φ_i ← φ_i / ‖φ_i‖₂.

    Args:
      features: (n, d) real values.
      bias: append the column of ones.

    Returns:
      Φ, (n, d) or, with the bias, (n, d + 1). A row of zeros stays zero.

    Raises:
      ValueError: features that are no matrix, or not finite (eager calls).
      TypeError: complex features.

    Example:
      >>> import jaxalign as ja
      >>> ja.unit_rows([[3.0, 4.0]], bias=False).tolist()
      [[0.6..., 0.8...]]

    Source: Imani, Hu, White (TMLR 2022), as in the authors' demo notebook.
    """
    x = as_real_floats(features, "features")
    require_matrix(x, "features", "d")
    require_finite(x, "features")
    if bias:
        x = _with_ones(x)
    # The largest entry is taken out first, so that squares neither overflow nor vanish. The result
    # does not depend on what is taken out, hence neither does the derivative.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=1, keepdims=True))
    is_zero = largest == 0
    x = x / jnp.where(is_zero, 1, largest)
    squares = jnp.sum(x * x, axis=1, keepdims=True)
    return x / jnp.sqrt(jnp.where(is_zero, 1, squares))


def _with_ones(x: Array) -> Array:
    return jnp.concatenate([x, jnp.ones((x.shape[0], 1), x.dtype)], axis=1)


def _pooled(activations: ArrayLike, reduce: Reduce, mask: ArrayLike | None) -> Array:
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
        counted = _counted_positions(mask, x.shape, reduce)[..., None]
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
            return x.mean(axis=tuple(range(1, x.ndim - 1)), where=counted)
        case "samples":
            return x.reshape(-1, x.shape[-1])
        case "cls":
            return x[(slice(None), *(0,) * (x.ndim - 2))]
    raise ValueError(f"reduce must be 'flatten', 'mean', 'samples' or 'cls', found {reduce!r}")


def _counted_positions(mask: ArrayLike, shape: tuple[int, ...], reduce: str) -> Array:
    """The mask (n, ...) as booleans, or an error that says what is wrong with it."""
    found = jnp.asarray(mask)
    if reduce != "mean":
        remedy = (
            "; pass mask.ravel() as weights to moments(features, targets, weights)"
            if reduce == "samples"
            else ""
        )
        raise ValueError(f"mask goes with reduce='mean', found reduce={reduce!r}{remedy}")
    if len(shape) < 3:
        raise ValueError(
            f"mask needs activations with positions, (n, positions, d), found activations {shape}"
        )
    if found.shape != shape[:-1]:
        raise ValueError(
            f"mask must have shape {shape[:-1]}, that of activations without the last axis, found {found.shape}"
        )
    if not (found.dtype == bool or jnp.issubdtype(found.dtype, jnp.integer)):
        raise TypeError(
            f"mask must be boolean, or integers 0 and 1, found {found.dtype}; pass mask > 0"
        )
    if is_concrete(found):
        values = np.asarray(found).reshape(shape[0], -1)
        if not np.isin(values, (0, 1)).all():
            raise ValueError(
                f"mask must hold 0 and 1 only, found {values.min()} ... {values.max()}; pass mask > 0"
            )
        empty = np.flatnonzero(~values.any(axis=1))
        if empty.size:
            raise ValueError(
                f"mask must keep a position of every row, found none in {empty.size} rows, as in row {empty[0]}"
            )
    return found != 0


def _warn_of_width(shape: tuple[int, ...]) -> None:
    n, d = shape[0], int(np.prod(shape[1:]))
    if 8 * d**2 > _LARGE:
        warnings.warn(
            f"flattening activations {shape} makes d = {d} features, whose d × d moments (streams, sums over devices) take "
            f"{8 * d**2 / 2**30:,.0f} GiB; reduce='mean' makes d = {shape[-1]}"
            + (
                f", and spectrum(features, targets) of all n = {n} < d rows at once takes n × n only"
                if n < d
                else ""
            ),
            WidthWarning,
            stacklevel=4,
        )


def encode_targets(labels: ArrayLike, *, classes: Sequence | None = None) -> Array:
    """The target matrix Y: two classes give one ±1 column, more give one ±1 column a class (one
    against the rest).

    Args:
      labels: (n,) class labels (integers, booleans or, outside jit, strings), or real regression
        targets (n,) or (n, k), which pass as they are, (n,) as one column.
      classes: every label value there can be, in the order of the columns. By default those found,
        ascending. Inside ``jit``, and for batches that may miss a class, it has to be given. With
        two classes the second is +1.

    Returns:
      Y, (n, k), float32 (float64 for float64 targets).

    Raises:
      ValueError: labels empty, of the wrong rank, of one class only, not among ``classes``, traced
        without ``classes``, or not finite (eager calls).

    Example:
      >>> import jaxalign as ja
      >>> ja.encode_targets([0, 1, 1]).tolist()
      [[-1.0], [1.0], [1.0]]
      >>> ja.encode_targets(["cat", "dog", "emu"]).tolist()
      [[1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]

    Source: ±1 labels as in Imani, Hu, White (TMLR 2022); one-vs-rest columns are ours.
    """
    found = labels if isinstance(labels, jax.Array | np.ndarray) else np.asarray(labels)
    if found.size == 0:
        raise ValueError(f"labels must not be empty, found shape {found.shape}")
    if jnp.issubdtype(found.dtype, jnp.inexact):
        return _real_targets(found)
    if found.ndim != 1:
        raise ValueError(
            f"labels must be class labels of shape (n,), found {found.dtype} of shape {found.shape}; "
            "pass labels.argmax(axis=1) for one-hot rows, or floats for regression targets"
        )
    if classes is None:
        if not is_concrete(found):
            raise ValueError(
                "labels are traced, so their classes cannot be read; pass classes=(0, 1, ...) or encode outside jit"
            )
        classes = np.unique(np.asarray(found)).tolist()
    if len(classes) < 2:
        raise ValueError(f"labels must hold at least two classes, found only {list(classes)}")
    if is_concrete(found):
        strangers = np.setdiff1d(np.asarray(found), np.asarray(classes))
        if strangers.size:
            raise ValueError(
                f"labels must be among classes={list(classes)}, found {strangers.tolist()}"
            )
        member = np.asarray(found)[:, None] == np.asarray(classes)
    else:
        member = found[:, None] == jnp.asarray(classes)
    signs = jnp.where(jnp.asarray(member), 1.0, -1.0).astype(jnp.float32)
    return signs[:, 1:] if len(classes) == 2 else signs


def _real_targets(labels: ArrayLike) -> Array:
    y = as_real_floats(labels, "labels")
    if y.ndim not in (1, 2):
        raise ValueError(f"real-valued labels must have shape (n,) or (n, k), found {y.shape}")
    require_finite(y, "labels")
    return y[:, None] if y.ndim == 1 else y
