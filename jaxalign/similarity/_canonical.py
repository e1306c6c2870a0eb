"""The canonical correlations of two column spaces, from rows or from products, and their
derivative.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from jaxalign._core.linalg import matmul, svd
from jaxalign._spectrum.routes import refined
from jaxalign._spectrum.routes.moments import over, singular_vectors
from jaxalign._spectrum.routes.table import significant
from jaxalign.similarity._reading import Central


class Space(NamedTuple):
    """X = U diag(σ) Vᵀ, and which of its directions span the space that is compared."""

    sigma: Float[Array, " r"]
    right: Float[Array, "p r"]
    kept: Bool[Array, " r"]


class Canonical(NamedTuple):
    """U_xᵀU_y = L diag(ρ) Rᵀ of two spaces: their canonical correlations and variates."""

    correlations: Float[Array, " m"]  # ρ, descending, 0 past the smaller rank
    left: Float[Array, "r m"]  # L: the variates of X are U_x L
    right: Float[Array, "m s"]  # Rᵀ


class Settings(NamedTuple):
    """How a space is chosen.

    Attributes:
      precision: dtype of the features, whose rounding sets the rank tolerance.
      variance: the share of Σσ² to keep by the leading directions.
    """

    precision: str
    variance: float


def space_of_rows(x: Float[Array, "n p"], settings: Settings) -> tuple[Space, Float[Array, "n r"]]:
    """The column space of X about its mean, and U."""
    if x.dtype == jnp.float32:
        left, sigma, transposed = svd(x)
        right = transposed.T
    else:
        parts = refined.decompose(x, jnp.zeros((len(x), 1), x.dtype))
        left, sigma, right = parts.left, parts.singular_values, parts.right
    kept = _kept(sigma, settings, max(x.shape), "refined")
    # The second pass lifts the σ of zeros a little.
    return Space(sigma, right, kept & jnp.any(x != 0)), left


def space_of_gram(gram: Float[Array, "p p"], n: Float[Array, ""], settings: Settings) -> Space:
    """The column space of an X that is given by XᵀX."""
    sigma, right = singular_vectors(gram)
    kept = _kept(sigma, settings, jnp.maximum(n, len(gram)), "moments")
    return Space(sigma, right, kept)


def _kept(sigma: Array, settings: Settings, size: Array | int, route: str) -> Bool[Array, " r"]:
    in_span = significant(sigma, jnp.dtype(settings.precision), size, route)
    if settings.variance >= 1:
        return in_span
    squares = jnp.where(in_span, sigma**2, 0)
    before = jnp.cumsum(squares) - squares
    # As few directions as together reach the share.
    return in_span & (before < settings.variance * jnp.sum(squares))


def _crossed(x: Space, y: Space, overlap: Float[Array, "r s"]) -> Canonical:
    both = jnp.where(x.kept[:, None] & y.kept[None, :], overlap, 0)
    left, correlations, right = svd(both)
    return Canonical(correlations, left, right)


def of_products(central: Central, settings: Settings) -> tuple[Canonical, Space, Space]:
    """From sums about the mean, to half the digits.

    U_xᵀU_y = diag(1/σ_x) V_xᵀ XᵀY V_y diag(1/σ_y).
    """
    p = central.p
    x = space_of_gram(central.products[:p, :p], central.n, settings)
    y = space_of_gram(central.products[p:, p:], central.n, settings)
    rotated = matmul(matmul(x.right.T, central.products[:p, p:]), y.right)
    return _crossed(x, y, over(over(rotated, y.sigma).T, x.sigma).T), x, y


def of_rows(
    x: Float[Array, "n p"], y: Float[Array, "n q"], settings: Settings
) -> tuple[Canonical, Space, Space]:
    """From X and Y about their means, to the accuracy of float64."""
    x_space, x_left = space_of_rows(x, settings)
    y_space, y_left = space_of_rows(y, settings)
    return _crossed(x_space, y_space, matmul(x_left.T, y_left)), x_space, y_space


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlations(
    x: Float[Array, "n p"], y: Float[Array, "n q"], settings: Settings
) -> tuple[Float[Array, " m"], Float[Array, " 2"]]:
    """The canonical correlations of X and Y about their means, and the ranks of both."""
    canonical, x_space, y_space = of_rows(x, y, settings)
    return canonical.correlations, ranks(x_space, y_space)


def ranks(x: Space, y: Space) -> Float[Array, " 2"]:
    """How many directions of each are compared."""
    return jnp.stack([jnp.sum(space.kept) for space in (x, y)]).astype(x.sigma.dtype)


def _forward(x: Array, y: Array, settings: Settings) -> tuple[tuple[Array, Array], tuple]:
    return correlations(x, y, settings), (x, y)


def _backward(settings: Settings, pair: tuple, cotangents: tuple) -> tuple[Array, Array]:
    spaces = [space_of_rows(part, settings) for part in pair]
    (x_space, x_left), (y_space, y_left) = spaces
    canonical = _crossed(x_space, y_space, matmul(x_left.T, y_left))
    # Past the smaller rank, correlations are 0 and have the derivative 0.
    place = jnp.arange(len(canonical.correlations), dtype=cotangents[0].dtype)
    weights = jnp.where(place < ranks(x_space, y_space).min(), cotangents[0], 0)
    x_variates = matmul(x_left, canonical.left)
    y_variates = matmul(y_left, canonical.right.T)
    return (
        _pulled_back(x_space, x_left, canonical.left, y_variates, weights),
        _pulled_back(y_space, y_left, canonical.right.T, x_variates, weights),
    )


correlations.defvjp(_forward, _backward)


def _pulled_back(
    space: Space,
    left: Float[Array, "n r"],
    own: Float[Array, "r m"],
    others: Float[Array, "n m"],
    weights: Float[Array, " m"],
) -> Float[Array, "n p"]:
    """Σ_m w_m ∂ρ_m/∂X, ρ_m = a_mᵀb_m of variates a = U L of X and b of the other side.

    Only the space of the kept directions i matters. It turns towards direction j outside by
    du_i = Σ_j u_j (σ_i u_jᵀdX v_i + σ_j u_iᵀdX v_j)/(σ_i² − σ_j²), where j also runs over the
    complement of the column space (σ_j = 0).
    """
    sigma = jnp.where(space.sigma > 0, space.sigma, 1)
    inside = matmul(left.T, others)
    outside = others - matmul(left, inside)
    coordinates = own * weights[None, :]
    gaps = space.sigma[None, :] ** 2 - space.sigma[:, None] ** 2
    turns = ~space.kept[:, None] & space.kept[None, :]  # of i (columns) towards j (rows)
    turning = jnp.where(turns, matmul(inside, coordinates.T) / jnp.where(turns, gaps, 1), 0)
    within = turning * space.sigma[None, :] + (turning * space.sigma[:, None]).T
    beyond = jnp.where(space.kept[None, :], matmul(outside, coordinates.T) / sigma[None, :], 0)
    return matmul(matmul(left, within) + beyond, space.right.T)
