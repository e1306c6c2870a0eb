"""Alignment as an objective: Label Alignment Regularization."""

from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.checks import (
    as_dtype,
    as_matrices,
    as_real_floats,
    as_target_numbers,
    require_finite,
    require_matrix,
)
from jaxalign._core.float64 import exactly, of_jax_or_numpy
from jaxalign._core.kinds import as_count, require_number
from jaxalign._core.known import known_values
from jaxalign._spectrum.room import require_room_for
from jaxalign.alignment._label_alignment import loss_of, weights_of

_COPIES = 5
"""How many sums of their size there are at once."""


def label_alignment_loss(
    weights: ArrayLike,
    features: ArrayLike,
    targets: ArrayLike,
    unlabelled: ArrayLike,
    *,
    rank: int,
    unlabelled_rank: int,
    strength: float = 1.0,
) -> Float[Array | np.ndarray, ""]:
    """‖Φw − y‖² − Σ_{i>k} σ_i²(v_iᵀw)² + λ Σ_{i>k̃} σ̃_i²(ṽ_iᵀw)²: the loss of a linear head for
    unlabelled data Φ̃ of another distribution, whose labels align as those of Φ do.

    Regression on Φ regularizes w along the directions in which y has little energy. The second term
    removes that regularization; the third puts that of Φ̃ in its place. Add the loss to another, or
    minimize it alone by ``label_alignment_weights``. Singular vectors count as constants: the
    gradient is with respect to w only.

    Args:
      weights: (d, c) w, or (d,) for c = 1.
      features: (n, d) Φ.
      targets: (n, c) Y; (n,) floats count as one column.
      unlabelled: (ñ, d) Φ̃.
      rank: k, the number of directions along which y lies, for example
        ``aligned_rank(spectrum(features, targets), 0.99).max()``.
      unlabelled_rank: k̃, the same for the other distribution, where it has to be guessed.
      strength: λ ≥ 0.

    Returns:
      The sum over targets. It may be unbounded below where k < k̃.

    Raises:
      ValueError: shapes that do not fit; ranks not from 0 to d; a negative strength; values not
        finite, or sums that memory has no room for (eager calls).

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> data = (jnp.eye(2), jnp.array([1.0, 0.0]), 2 * jnp.eye(2))
      >>> loss = ja.label_alignment_loss([1.0, 0.0], *data, rank=2, unlabelled_rank=0)
      >>> float(loss)
      4.0

    Source: Imani et al., Label Alignment Regularization for Distribution Shift (JMLR 2024), its
      objective.
    """
    arrays = _numbers(features, targets, unlabelled)
    _require_settings(arrays[0], rank, unlabelled_rank, strength)
    run = partial(_loss, rank, unlabelled_rank, strength)
    return of_jax_or_numpy(exactly(run, as_numbers(weights, "weights"), *arrays))


def _loss(
    rank: int, unlabelled_rank: int, strength: float, weights: ArrayLike, *arrays: ArrayLike
) -> Float[Array, ""]:
    phi, y, other = _checked(*arrays)
    _require_room(phi, min(phi.shape[1], max(len(phi), len(other))) ** 2)
    w = as_dtype(as_real_floats(weights, "weights"), phi.dtype)
    if w.ndim == 1:
        w = w[:, None]
    if w.shape != (phi.shape[1], y.shape[1]):
        raise ValueError(
            f"weights must have shape (d, c) = {(phi.shape[1], y.shape[1])}, found {w.shape}"
        )
    return loss_of(rank, unlabelled_rank, jnp.asarray(strength, phi.dtype), w, phi, y, other)


def label_alignment_weights(
    features: ArrayLike,
    targets: ArrayLike,
    unlabelled: ArrayLike,
    *,
    rank: int,
    unlabelled_rank: int,
    strength: float = 1.0,
) -> Float[Array | np.ndarray, "d c"]:
    """The minimizer of ``label_alignment_loss``:

        w = (Σ_{i≤k} σ_i² v_i v_iᵀ + λ Σ_{i>k̃} σ̃_i² ṽ_i ṽ_iᵀ)⁻¹ Φᵀy.

    Computed in float64 (on a TPU in float32), returned in the features' dtype. Along directions in
    which the unlabelled data are weak, weights grow as 1/σ̃², so on raw images the exact minimizer
    classifies poorly. Use features in which both distributions vary along the same directions, or
    take a few steps of gradient descent on the loss instead.

    Args:
      features, targets, unlabelled, rank, unlabelled_rank, strength: as in
        ``label_alignment_loss``.

    Returns:
      (d, c). Directions in neither sum, along which the loss has no minimum, get weight 0.

    Raises:
      ValueError: as ``label_alignment_loss``.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> data = (jnp.eye(2), jnp.ones(2), jnp.diag(jnp.array([2.0, 1.0])))
      >>> w = ja.label_alignment_weights(*data, rank=2, unlabelled_rank=1)
      >>> w.round(2).ravel().tolist()
      [1.0, 0.5]

    Source: ours, from the objective of Imani et al. (JMLR 2024).
    """
    arrays = _numbers(features, targets, unlabelled)
    _require_settings(arrays[0], rank, unlabelled_rank, strength)
    return of_jax_or_numpy(exactly(partial(_weights, rank, unlabelled_rank, strength), *arrays))


def _weights(
    rank: int, unlabelled_rank: int, strength: float, *arrays: ArrayLike
) -> Float[Array, "d c"]:
    phi, y, other = _checked(*arrays)
    # Of few rows also an orthonormal basis of them is computed.
    d = phi.shape[1]
    _require_room(phi, d * min(d, len(phi) + len(other)))
    return weights_of(rank, unlabelled_rank, jnp.asarray(strength, phi.dtype), phi, y, other)


def _numbers(
    features: ArrayLike, targets: ArrayLike, unlabelled: ArrayLike
) -> tuple[Array | np.ndarray, ...]:
    phi = as_numbers(features, "features")
    return phi, as_target_numbers(targets, [phi]), as_numbers(unlabelled, "unlabelled")


def _require_settings(
    features: Array | np.ndarray, rank: int, unlabelled_rank: int, strength: float
) -> None:
    d = features.shape[-1] if features.ndim else 1
    for name, value in (("rank", rank), ("unlabelled_rank", unlabelled_rank)):
        if as_count(value, name, least=0) > d:
            raise ValueError(f"{name} must be from 0 to d = {d}, found {value}")
    require_number(strength, "strength")
    known = known_values(strength)
    if known is not None and not 0 <= known < np.inf:
        raise ValueError(f"strength must be finite and not negative, found {strength}")


def _checked(
    features: ArrayLike, targets: ArrayLike, unlabelled: ArrayLike
) -> tuple[Float[Array, "n d"], Float[Array, "n c"], Float[Array, "m d"]]:
    phi, y = as_matrices(features, targets)
    other = as_dtype(as_real_floats(unlabelled, "unlabelled"), phi.dtype)
    require_matrix(other, "unlabelled", "d")
    require_finite(other, "unlabelled")
    if other.shape[1] != phi.shape[1]:
        raise ValueError(
            "features and unlabelled must have as many columns, "
            f"found {phi.shape[1]} and {other.shape[1]}"
        )
    return phi, as_dtype(y, phi.dtype), other


def _require_room(phi: Float[Array, "n d"], entries: int) -> None:
    found = f"features of d = {phi.shape[1]:,} columns"
    require_room_for(8 * entries, _COPIES, phi, found)
