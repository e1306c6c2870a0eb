"""Neural collapse: how nearly the classes are points, and these points a simplex."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.checks import as_real_numbers, require_finite
from jaxalign._core.known import known_values
from jaxalign._core.linalg import eigh, matmul
from jaxalign.geometry._classes import ClassSums, class_sums, of_classes


class NeuralCollapse(NamedTuple):
    """All but ``nc4`` fall to 0 as classes collapse. M holds the class means μ_c less their mean.

    Attributes:
      nc1: tr(S_W S_B⁺)/c (Papyan et al.).
      nc1_trace: tr S_W/tr S_B.
      cdnv: mean over pairs of (v_a + v_b)/(2‖μ_a − μ_b‖²), v the mean squared distance to the mean
        of a class (Galanti et al.); inf where the means of two classes coincide, NaN where these
        are points too.
      nc2_norms: standard deviation over mean of the ‖μ_c‖.
      nc2_angles: mean over pairs of |cos(μ_a, μ_b) + 1/(c − 1)|; NaN where μ_c is 0.
      nc3: ‖W/‖W‖_F − M/‖M‖_F‖_F², from 0 to 4; NaN without weights. 2 by chance.
      nc4: share of rows whose nearest class mean is the class that the head gives them, argmax Wφ;
        without weights, their own class. 1/c by chance.
    """

    nc1: Float[Array, ""]
    nc1_trace: Float[Array, ""]
    cdnv: Float[Array, ""]
    nc2_norms: Float[Array, ""]
    nc2_angles: Float[Array, ""]
    nc3: Float[Array, ""]
    nc4: Float[Array, ""]


def neural_collapse(
    features: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    bias: ArrayLike | None = None,
    classes: Sequence | None = None,
) -> NeuralCollapse:
    """NC1 to NC4 of (n, d) features and their classes, in the variants that ``NeuralCollapse``
    names.

    S_W is the mean over rows of (φ − μ_c)(φ − μ_c)ᵀ, S_B the mean over classes of μ_c μ_cᵀ, about
    the mean of the class means, so that classes of different sizes count as much.

    Args:
      features: (n, d), of the layer before the head.
      labels: (n,) classes.
      weights: (c, d) W of the head, one row a class, as ``kernel.T`` of a dense layer.
      bias: (c,) of the head.
      classes: all classes; required inside ``jit``.

    Returns:
      NeuralCollapse.

    Raises:
      ValueError: arrays that do not fit each other, not finite; a class without rows; means of
        classes that all coincide, weights that are all 0 (NaN where traced); a bias without
        weights.
      TypeError: features or labels of another kind; when differentiated.

    Example:
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> corners = np.repeat(np.eye(3), 4, axis=0)
      >>> collapse = ja.geometry.neural_collapse(corners, np.repeat([0, 1, 2], 4), np.eye(3))
      >>> float(collapse.nc1), float(collapse.nc4)
      (0.0, 1.0)

    Source: Papyan, Han, Donoho (PNAS 2020); Galanti, György, Hutter (ICLR 2022).
    """
    if weights is None:
        if bias is not None:
            raise ValueError("bias is of a head; pass its weights as well")
        return NeuralCollapse(*of_classes(_without_head, features, labels, classes))
    head = [as_real_numbers(weights, "weights")]
    require_finite(head[0], "weights")
    known = known_values(head[0])
    if known is not None and not known.any():
        raise ValueError("weights must not all be 0, a head that has no direction; leave them out")
    if bias is not None:
        head.append(as_real_numbers(bias, "bias"))
        require_finite(head[1], "bias")
    return NeuralCollapse(*of_classes(_with_head, features, labels, classes, *head))


def _without_head(rows: Float[Array, "n d"], indicators: Float[Array, "n c"]) -> tuple[Array, ...]:
    rows = _in_units_of_size(rows)
    sums = class_sums(rows, indicators)
    none = jnp.full_like(sums.center[0], jnp.nan)
    nc4 = _agreement(_closeness(rows, sums), indicators)
    return *_collapse(rows, indicators, sums), none, nc4


def _with_head(
    rows: Float[Array, "n d"],
    indicators: Float[Array, "n c"],
    weights: Float[Array, "c d"],
    bias: Float[Array, " c"] | float = 0.0,
) -> tuple[Array, ...]:
    expected = (indicators.shape[1], rows.shape[1])
    if weights.shape != expected:
        remedy = "; pass kernel.T" if weights.shape == expected[::-1] else ""
        raise ValueError(
            f"weights must be (c, d) = {expected}, one row a class, found {weights.shape}{remedy}"
        )
    if jnp.shape(bias) not in ((), expected[:1]):
        raise ValueError(f"bias must be (c,) = {expected[:1]}, found {jnp.shape(bias)}")
    scores = matmul(rows, weights.T) + jnp.reshape(bias, (1, -1))
    rows = _in_units_of_size(rows)
    sums = class_sums(rows, indicators)
    difference = weights / jnp.linalg.norm(weights) - sums.means / jnp.linalg.norm(sums.means)
    nc4 = _agreement(_closeness(rows, sums), scores)
    return *_collapse(rows, indicators, sums), jnp.sum(difference**2), nc4


def _in_units_of_size(rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Rows about the first one, as large as 1: no measure has a unit, but squares have a range."""
    shifted = rows - rows[:1]
    size = jnp.max(jnp.abs(shifted))
    return shifted / jnp.where(size > 0, size, 1)


def _collapse(
    rows: Float[Array, "n d"], indicators: Float[Array, "n c"], sums: ClassSums
) -> tuple[Array, ...]:
    """NC1 in three variants, NC2 in two."""
    n, c = indicators.shape
    squares = jnp.sum(sums.within**2, axis=1)
    gram = matmul(sums.means, sums.means.T)
    norms = jnp.sqrt(jnp.diagonal(gram))

    # S_B = MᵀM/c has the eigenvalues λ of MMᵀ/c = Q diag(λ) Qᵀ and the eigenvectors
    # MᵀQ diag(1/√(cλ)), so tr(S_W S_B⁺) = Σ_i ‖W Mᵀ q_i‖²/(n c λ_i²) over λ_i > 0.
    vectors, values = eigh(gram / c)
    rounding = 100 * c * float(jnp.finfo(rows.dtype).eps)
    is_some = values > values[-1] * rounding
    along = matmul(matmul(sums.within, sums.means.T), vectors)
    spread = jnp.sum(along**2, axis=0) / (n * c)
    nc1 = jnp.sum(jnp.where(is_some, spread / jnp.where(is_some, values, 1) ** 2, 0)) / c
    # Means that coincide, or are unknown, have no S_B to divide by.
    nc1 = jnp.where(values[-1] > 0, nc1, jnp.nan)
    nc1_trace = jnp.mean(squares) / jnp.mean(norms**2)

    variances = matmul(indicators.T, squares[:, None])[:, 0] / sums.counts
    distances = norms[:, None] ** 2 + norms[None, :] ** 2 - 2 * gram
    is_pair = ~jnp.eye(c, dtype=bool)
    ratios = (variances[:, None] + variances[None, :]) / (2 * jnp.where(is_pair, distances, 1))
    cosines = gram / (norms[:, None] * norms[None, :])
    angles = jnp.abs(cosines + 1 / (c - 1))
    return (
        nc1,
        nc1_trace,
        _mean_over(ratios, is_pair),
        jnp.std(norms) / jnp.mean(norms),
        _mean_over(angles, is_pair),
    )


def _mean_over(values: Float[Array, "c c"], chosen: Array) -> Float[Array, ""]:
    return jnp.sum(jnp.where(chosen, values, 0)) / jnp.sum(chosen.astype(values.dtype))


def _closeness(rows: Float[Array, "n d"], sums: ClassSums) -> Float[Array, "n c"]:
    """‖φ‖² − ‖φ − μ_c‖² = 2φᵀμ_c − ‖μ_c‖²: largest for the nearest mean."""
    centred = rows - rows[:1] - sums.center[None, :]
    return 2 * matmul(centred, sums.means.T) - jnp.sum(sums.means**2, axis=1)[None, :]


def _agreement(first: Float[Array, "n c"], second: Float[Array, "n c"]) -> Float[Array, ""]:
    """The share of rows in which two scores are largest for the same class; NaN where one of them
    tells no classes apart.
    """
    # By comparison, because an index, of 64 bits, cannot leave the scope of float64.
    of_first = first == jnp.max(first, axis=1, keepdims=True)
    of_second = second == jnp.max(second, axis=1, keepdims=True)
    # NaN equals nothing; it goes on.
    unknown = 0 * (jnp.max(first) + jnp.max(second))
    for scores in (first, second):
        tells = jnp.any(jnp.min(scores, axis=1) < jnp.max(scores, axis=1))
        unknown = jnp.where(tells, unknown, jnp.nan)
    return jnp.mean(jnp.any(of_first & of_second, axis=1).astype(first.dtype)) + unknown
