"""What a route hands back about Φ = U diag(σ) Vᵀ and Y, and the derivative of the label spectrum,
common to all routes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxalign._core.linalg import matmul


class Decomposition(NamedTuple):
    """A thin SVD seen from the targets, r = min(n, d). Under ``jit``, fields that nobody reads are
    never computed.
    """

    singular_values: Array  # (r,) σ, descending
    coordinates: Array  # (r, k) UᵀY
    left: Array  # (n, r) U
    right: Array  # (d, r) V


class Route(NamedTuple):
    """A way to compute a spectrum.

    Attributes:
      decompose: (features (n, d), targets (n, k)) to a Decomposition.
      float64: whether it computes in float64; if not, in the features' own dtype.
      resolution: singular values below this share of σ_1 are noise, whatever the features' dtype.
    """

    decompose: Callable[[Array, Array], Decomposition]
    float64: bool
    resolution: float


class Cotangents(NamedTuple):
    """∂L/∂ of the three fields of a label spectrum."""

    singular_values: Array  # (r,)
    energy: Array  # (r, k)
    total: Array  # (k,)


def pullback(
    parts: Decomposition,
    targets: Array,
    significant: Array,
    closeness: float,
    cotangents: Cotangents,
) -> tuple[Array, Array]:
    """(∂L/∂Φ, ∂L/∂Y) of a loss L(σ, e, t) on a label spectrum e_i = (u_iᵀy)², t = ‖y‖².

    With h_i = ∂L/∂e_i and P = UᵀdΦV, first-order perturbation theory gives

        dL = Σ_i ∂L/∂σ_i P_ii + Σ_{i≠j} ŷ_i ŷ_j (h_i − h_j)/(σ_i² − σ_j²) (P_ji σ_i + P_ij σ_j),
        ŷ = Uᵀy,

    where j runs over the complement of the column space too (σ_j = 0, h_j = 0). A single σ_i or e_i
    is not differentiable where singular values coincide, but every function of the spectral measure
    Σ e_i δ(σ_i) is (areas, curves, sums over σ), and for it the quotient tends to h'(σ)/(2σ).
    Reverse mode knows h' only through ∂L/∂σ_i = Σ_c h'_c(σ_i) e_ic, so pairs closer than
    ``closeness`` (relative) take the h' that shares one logarithmic slope among the columns: exact
    for one column, and for several whose h_c are multiples of each other. Where singular values are
    equal up to rounding, the cotangents may belong to another basis of their space than the one
    found here (another program rounds otherwise): there only their sums over the space are used,
    which no basis changes.

    Directions that are not ``significant`` (σ under the rank tolerance) count to the complement,
    and their σ gets derivative 0: the middle of its subgradients. Everything stays finite; the
    smallest divisor is a significant σ.

    Source: ours; the degenerate pairs are those of jax issue 2311.
    """
    column = significant[:, None]
    sigma = jnp.where(significant, parts.singular_values, 1)
    coordinates = jnp.where(column, parts.coordinates, 0)
    weighted = jnp.where(column, cotangents.energy, 0) * coordinates  # h ∘ ŷ
    left = jnp.where(significant, parts.left, 0)
    sigma_bar = jnp.where(significant, cotangents.singular_values, 0)

    products = matmul(weighted, coordinates.T)  # (i, j): Σ_c h_ic ŷ_ic ŷ_jc
    own = jnp.diagonal(products)  # Σ_c h_ic e_ic
    sum_pair, difference = sigma[:, None] + sigma, sigma[:, None] - sigma
    rounding = float(jnp.finfo(targets.dtype).eps) ** 0.5 / 64
    equal = (jnp.abs(difference) <= rounding * sum_pair) & column & significant | jnp.eye(
        len(sigma), dtype=bool
    )
    share = equal / jnp.sum(equal, axis=1, keepdims=True)
    mean_bar, mean_own = matmul(share, sigma_bar), matmul(share, own)
    scale = matmul(share, jnp.sum(jnp.abs(weighted * coordinates), axis=1))

    def pair(x):
        return x[:, None] + x

    known = jnp.abs(pair(mean_own)) > closeness * pair(scale)
    slope = jnp.where(known, pair(mean_bar) / jnp.where(known, pair(mean_own), 1), 0)
    several = jnp.sum(equal, axis=1) > 1
    apart = jnp.where(
        several, jnp.where(jnp.diagonal(known), own * jnp.diagonal(slope), mean_bar), sigma_bar
    )

    close = jnp.abs(difference) <= closeness * sum_pair
    quotient = jnp.where(
        close,
        (products + products.T) / 2 * slope / sum_pair,
        (products - products.T) / jnp.where(close, 1, difference * sum_pair),
    )
    core = jnp.where(jnp.eye(len(sigma), dtype=bool), jnp.diag(apart), 2 * quotient * sigma)

    outside = targets - matmul(left, coordinates)  # the part of Y outside the column space
    left_bar = matmul(left, core) + 2 * matmul(outside, (weighted / sigma[:, None]).T)
    right = jnp.where(significant, parts.right, 0)
    return matmul(left_bar, right.T), 2 * matmul(left, weighted) + 2 * targets * cotangents.total
