"""Alignment as something to train for: a smooth curve that has a useful gradient, and Label
Alignment Regularization.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxalign._core.checks import (
    as_dtype,
    as_matrices,
    as_real_floats,
    is_concrete,
    require_finite,
    require_matrix,
)
from jaxalign._core.float64 import float64_inside
from jaxalign._core.linalg import eigh, matmul
from jaxalign._spectrum.routes.moments import products
from jaxalign._spectrum.types import Spectrum


def smooth_alignment(spectrum: Spectrum, threshold: ArrayLike, *, width: ArrayLike = 1.0) -> Array:
    """A_w(τ) = Σ_i s((σ_i − τ)/w) (u_iᵀ y)² with the logistic s: A(τ) with a soft threshold, and a
    gradient.

    A(τ) itself is a step in every σ_i, so its derivative is that of the directions alone. Add
    −A_w(τ)/‖y‖², of a layer's spectrum, to a loss.

    Args:
      spectrum: of one representation, with k targets.
      threshold: () τ, in the units of the singular values.
      width: () w > 0, over which the threshold is smeared, in the same units; towards 0 it becomes
        ``alignment``.

    Returns:
      (k,), between 0 and ‖P_col y‖².

    Raises:
      ValueError: threshold or width not a scalar, or a width that is not positive (eager values).

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 1.0])
      >>> ja.smooth_alignment(s, 3.0).round(2).tolist(), ja.smooth_alignment(s, 2.0, width=0.01).round(2).tolist()
      ([2.119...], [4.0])

    Source: ours.
    """
    dtype = spectrum.singular_values.dtype
    tau, w = jnp.asarray(threshold, dtype), jnp.asarray(width, dtype)
    if tau.ndim != 0 or w.ndim != 0:
        raise ValueError(
            f"threshold and width must be scalars, found shapes {tau.shape} and {w.shape}"
        )
    if is_concrete(w) and not w > 0:
        raise ValueError(
            f"width must be positive, found {float(w)}; for a hard threshold call alignment"
        )
    return matmul(jax.nn.sigmoid((spectrum.singular_values - tau) / w), spectrum.energy)


def label_alignment_loss(
    weights: ArrayLike,
    features: ArrayLike,
    targets: ArrayLike,
    unlabelled: ArrayLike,
    *,
    rank: int,
    unlabelled_rank: int,
    strength: float = 1.0,
) -> Array:
    """‖Φw − y‖² − Σ_{i>k} σ_i²(v_iᵀw)² + λ Σ_{i>k̃} σ̃_i²(ṽ_iᵀw)²: a linear head for data whose
    labels align as those of Φ do.

    Regression on Φ holds w down along the directions in which y has little; the loss takes that
    regularisation away (its second term) and puts that of the unlabelled Φ̃ of another distribution
    in its place (its third). Add it to a loss, or minimise it alone by ``label_alignment_weights``.
    Singular vectors count as constants; the gradient is that of w.

    Args:
      weights: (d, c) w, or (d,) for c = 1.
      features: (n, d) Φ.
      targets: (n, c) Y; (n,) floats count as one column.
      unlabelled: (ñ, d) Φ̃.
      rank: k, the directions along which y lies: ``aligned_rank(spectrum(features, targets),
        0.99)``, say.
      unlabelled_rank: k̃, the same for the other distribution, where it has to be guessed.
      strength: λ ≥ 0.

    Returns:
      () the sum over targets. It is bounded below where k ≥ k̃, or the two matrices' directions say
      so.

    Raises:
      ValueError: shapes that do not fit; ranks not from 0 to d; a negative strength; values not
        finite (eager calls).

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> loss = ja.label_alignment_loss([1.0, 0.0], jnp.eye(2), [1.0, 0.0], 2 * jnp.eye(2), rank=2, unlabelled_rank=0)
      >>> float(loss)
      4.0

    Source: Imani et al., Label Alignment Regularization for Distribution Shift (JMLR 2024), its
      objective.
    """
    phi, y, other = _checked(features, targets, unlabelled, rank, unlabelled_rank, strength)
    w = as_dtype(as_real_floats(weights, "weights"), phi.dtype)
    w = w[:, None] if w.ndim == 1 else w
    if w.shape != (phi.shape[1], y.shape[1]):
        raise ValueError(
            f"weights must have shape (d, c) = {(phi.shape[1], y.shape[1])}, found {w.shape}"
        )
    residual = matmul(phi, w) - y
    own, theirs = (
        jax.lax.stop_gradient(_tail(x, k)) for x, k in ((phi, rank), (other, unlabelled_rank))
    )
    return jnp.sum(residual**2) + jnp.sum(w * matmul(strength * theirs - own, w))


def label_alignment_weights(
    features: ArrayLike,
    targets: ArrayLike,
    unlabelled: ArrayLike,
    *,
    rank: int,
    unlabelled_rank: int,
    strength: float = 1.0,
) -> Array:
    """The minimiser of ``label_alignment_loss``: w = (Σ_{i≤k} σ_i² v_i v_iᵀ + λ Σ_{i>k̃} σ̃_i² ṽ_i
    ṽ_iᵀ)⁻¹ Φᵀy.

    Computed in float64, returned in the features' dtype. Directions that the unlabelled data hardly
    hold get weights as large as they are weak there, since Φᵀy has a part along them: of raw images
    of a narrower distribution the minimiser itself is no classifier. Take features that both
    distributions fill, or descend the loss a while instead.

    Args:
      features, targets, unlabelled, rank, unlabelled_rank, strength: as in
        ``label_alignment_loss``.

    Returns:
      (d, c). Directions that neither sum holds, along which the loss has no minimum, get weight 0.

    Raises:
      ValueError: as ``label_alignment_loss``.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxalign as ja
      >>> w = ja.label_alignment_weights(jnp.eye(2), [1.0, 1.0], jnp.diag(jnp.array([2.0, 1.0])), rank=2, unlabelled_rank=1)
      >>> w.round(2).ravel().tolist()
      [1.0, 0.5]

    Source: ours, from the objective of Imani et al. (JMLR 2024).
    """
    phi, y, other = _checked(features, targets, unlabelled, rank, unlabelled_rank, strength)
    d = phi.shape[1]

    def solve(phi, y, other):
        both, gram = products([phi], [y]), products([other])
        matrix = both[:, :d] - _small(both[:, :d], rank) + strength * _small(gram, unlabelled_rank)
        vectors, values = eigh(matrix)
        held = values > values[-1] * d * jnp.finfo(values.dtype).eps
        along = matmul(vectors.T, both[:, d:])
        return matmul(
            vectors, jnp.where(held[:, None], along / jnp.where(held, values, 1)[:, None], 0)
        ).astype(y.dtype)

    return jax.jit(float64_inside(solve))(phi, y, other)


def _tail(rows: Array, rank: int) -> Array:
    """Σ_{i>k} σ_i² v_i v_iᵀ (d, d) of rows (n, d)."""
    return float64_inside(lambda rows: _small(products([rows]), rank).astype(rows.dtype))(rows)


def _small(gram: Array, rank: int) -> Array:
    """A Gram matrix without its ``rank`` largest eigenvalues."""
    vectors, values = eigh(gram)
    left = len(gram) - rank
    return matmul(vectors[:, :left] * values[:left], vectors[:, :left].T)


def _checked(
    features, targets, unlabelled, rank: int, unlabelled_rank: int, strength: float
) -> tuple[Array, Array, Array]:
    phi, y = as_matrices(features, targets)
    other = as_dtype(as_real_floats(unlabelled, "unlabelled"), phi.dtype)
    require_matrix(other, "unlabelled", "d")
    require_finite(other, "unlabelled")
    d = phi.shape[1]
    if other.shape[1] != d:
        raise ValueError(
            f"features and unlabelled must have as many columns, found {d} and {other.shape[1]}"
        )
    for name, value in (("rank", rank), ("unlabelled_rank", unlabelled_rank)):
        if not 0 <= value <= d:
            raise ValueError(f"{name} must be from 0 to d = {d}, found {value}")
    if is_concrete(strength) and strength < 0:
        raise ValueError(f"strength must not be negative, found {strength}")
    return phi, y, other
