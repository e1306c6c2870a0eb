"""What a route returns about Φ = U diag(σ) Vᵀ and Y, and the derivative of the label spectrum,
which all routes share.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from jaxalign._core.linalg import matmul


class Decomposition(NamedTuple):
    """A thin SVD as the targets see it, r = min(n, d). Under ``jit``, fields that are not used are
    not computed.
    """

    singular_values: Float[Array, " r"]  # σ, descending
    coordinates: Float[Array, "r k"]  # UᵀY
    left: Float[Array, "n r"]  # U
    right: Float[Array, "d r"]  # V


class Solved(NamedTuple):
    """A decomposition with what it was made of."""

    parts: Decomposition
    targets: Float[Array, "n k"]  # Y, about its mean if that was asked for
    total: Float[Array, " k"]  # ‖y‖²


class Route(NamedTuple):
    """A way to compute a spectrum.

    Attributes:
      solve: (features (n, d), targets (n, k), centered, vectors) to what it found; without
        ``vectors`` U and V may be left out.
      float64: whether float64 has to be allowed around it.
      resolution: singular values below this share of σ_1 are noise, whatever the features' dtype.
    """

    solve: Callable[[Array, Array, bool, bool], Solved]
    float64: bool
    resolution: float


class Cotangents(NamedTuple):
    """∂L/∂ of the three fields of a label spectrum."""

    singular_values: Float[Array, " r"]
    energy: Float[Array, "r k"]
    total: Float[Array, " k"]


def pullback(
    parts: Decomposition,
    targets: Float[Array, "n k"],
    significant: Bool[Array, " r"],
    closeness: float,
    cotangents: Cotangents,
) -> tuple[Float[Array, "n d"], Float[Array, "n k"]]:
    """(∂L/∂Φ, ∂L/∂Y) of a loss L(σ, e, t) on a label spectrum e_i = (u_iᵀy)², t = ‖y‖².

    With h_i = ∂L/∂e_i and P = UᵀdΦV, first-order perturbation theory gives

        dL = Σ_i ∂L/∂σ_i P_ii + Σ_{i≠j} ŷ_i ŷ_j (h_i − h_j)/(σ_i² − σ_j²) (P_ji σ_i + P_ij σ_j),
        ŷ = Uᵀy,                                                                             (1)

    where j also runs over the complement of the column space (σ_j = 0, h_j = 0).

    Directions that are not ``significant`` (σ below the rank tolerance) belong to the complement,
    and their σ has derivative 0, the middle of its subgradients. Everything stays finite: the
    smallest divisor is a significant σ. ``closeness`` is the relative difference of two σ below
    which the quotient in (1) is replaced by its limit, see ``_within_span``.

    Source: ours; the degenerate pairs are those of jax issue 2311.
    """
    # Directions of the complement drop out of every sum below; their σ becomes a harmless divisor.
    column = significant[:, None]
    sigma = jnp.where(significant, parts.singular_values, 1)
    coordinates = jnp.where(column, parts.coordinates, 0)
    left = jnp.where(significant, parts.left, 0)
    right = jnp.where(significant, parts.right, 0)
    sigma_bar = jnp.where(significant, cotangents.singular_values, 0)
    weighted = jnp.where(column, cotangents.energy, 0) * coordinates  # h ∘ ŷ

    # σ that differ by less than this count as equal: a program that rounds otherwise may return
    # another basis of their space.
    rounding = float(jnp.finfo(targets.dtype).eps) ** 0.5 / 64
    equal = _equal_pairs(sigma, significant, rounding)
    inside = _within_span(sigma, coordinates, weighted, sigma_bar, equal, closeness)

    # Terms of (1) with j in the complement: 2 h_i ŷ_i/σ_i Σ_j ŷ_j P_ji, and Σ_j ŷ_j u_j is the part
    # of y outside the column space.
    outside = targets - matmul(left, coordinates)
    beyond = matmul(outside, (weighted / sigma[:, None]).T)
    features_bar = matmul(matmul(left, inside) + 2 * beyond, right.T)

    # de_i = 2 ŷ_i u_iᵀdy and dt = 2 yᵀdy.
    targets_bar = 2 * matmul(left, weighted) + 2 * targets * cotangents.total[None, :]
    return features_bar, targets_bar


def _equal_pairs(
    sigma: Float[Array, " r"], significant: Bool[Array, " r"], rounding: float
) -> Bool[Array, "r r"]:
    """Which pairs of significant σ are equal up to ``rounding``; each σ equals itself."""
    difference = jnp.abs(sigma[:, None] - sigma[None, :])
    near = difference <= rounding * _pair_sums(sigma)
    in_span = significant[:, None] & significant[None, :]
    return near & in_span | jnp.eye(len(sigma), dtype=bool)


def _within_span(
    sigma: Float[Array, " r"],
    coordinates: Float[Array, "r k"],
    weighted: Float[Array, "r k"],
    sigma_bar: Float[Array, " r"],
    equal: Bool[Array, "r r"],
    closeness: float,
) -> Float[Array, "r r"]:
    """∂L/∂P of (1) for i and j in the column space: σ̄_i on the diagonal, 2 q_ij σ_j off it, where
    q_ij = ŷ_i ŷ_j (h_i − h_j)/(σ_i² − σ_j²), summed over the columns c of Y.

    A single σ_i or e_i is not differentiable where singular values coincide. Every function of the
    spectral measure Σ e_i δ(σ_i) is (areas, curves, sums over σ), and for it h_i = h(σ_i), so the
    quotient tends to h'(σ)/(2σ). Reverse mode knows h' only through σ̄_i = Σ_c h'_c(σ_i) e_ic. So
    close pairs take the h' that has the same h'/h in all columns: exact for one column, and for
    several whose h_c are multiples of each other.
    """
    own, slope, is_known = _logarithmic_slopes(coordinates, weighted, sigma_bar, equal, closeness)

    # (i, j): Σ_c h_ic ŷ_ic ŷ_jc.
    products = matmul(weighted, coordinates.T)
    pair_sum = _pair_sums(sigma)
    difference = sigma[:, None] - sigma[None, :]
    is_close = jnp.abs(difference) <= closeness * pair_sum
    quotient = jnp.where(
        is_close,
        # h'/(2σ) Σ_c ŷ_ic ŷ_jc, with h'_c = h_c·(h'/h) and 2σ = σ_i + σ_j.
        (products + products.T) / 2 * slope / pair_sum,
        # (h_i − h_j)/(σ_i² − σ_j²), by a difference of squares that loses no digits.
        (products - products.T) / jnp.where(is_close, 1, difference * pair_sum),
    )

    # Equal σ: cotangents of single σ_i belong to the basis of their space that the loss was given,
    # which another program rounds differently. Σ_c h'_c e_ic in the basis found here is
    # own_i·(h'/h), or the mean of the space where h'/h is unknown.
    has_equals = jnp.sum(equal, axis=1) > 1
    mean_bar = _mean_over_equals(equal, sigma_bar)
    by_slope = own * jnp.diagonal(slope)
    of_space = jnp.where(jnp.diagonal(is_known), by_slope, mean_bar)
    diagonal = jnp.where(has_equals, of_space, sigma_bar)
    off_diagonal = 2 * quotient * sigma[None, :]
    return jnp.where(jnp.eye(len(sigma), dtype=bool), jnp.diag(diagonal), off_diagonal)


def _logarithmic_slopes(
    coordinates: Float[Array, "r k"],
    weighted: Float[Array, "r k"],
    sigma_bar: Float[Array, " r"],
    equal: Bool[Array, "r r"],
    closeness: float,
) -> tuple[Float[Array, " r"], Float[Array, "r r"], Bool[Array, "r r"]]:
    """(Σ_c h_ic e_ic, h'/h between σ_i and σ_j, where it is known): h'/h = (σ̄_i + σ̄_j)/(Σ_c h_ic
    e_ic + Σ_c h_jc e_jc).

    Of equal σ only sums over their space are used, which no choice of basis changes.
    """
    terms = weighted * coordinates  # h_ic e_ic
    own = jnp.sum(terms, axis=1)
    numerator = _pair_sums(_mean_over_equals(equal, sigma_bar))
    denominator = _pair_sums(_mean_over_equals(equal, own))
    # Where the terms cancel, the quotient is rounding.
    size = _pair_sums(_mean_over_equals(equal, jnp.sum(jnp.abs(terms), axis=1)))
    is_known = jnp.abs(denominator) > closeness * size
    slope = jnp.where(is_known, numerator / jnp.where(is_known, denominator, 1), 0)
    return own, slope, is_known


def _mean_over_equals(equal: Bool[Array, "r r"], x: Float[Array, " r"]) -> Float[Array, " r"]:
    share = equal.astype(x.dtype)
    return matmul(share / jnp.sum(share, axis=1, keepdims=True), x)


def _pair_sums(x: Float[Array, " r"]) -> Float[Array, "r r"]:
    return x[:, None] + x[None, :]
