"""Ridge regression on all N rows at one strength δ, in the few sums by which everything about other
numbers of rows is told.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float

from jaxalign._core.linalg import matmul
from jaxalign._core.search import root
from jaxalign._spectrum.directions import Directions


class Fit(NamedTuple):
    """Ridge regression at δ. It leaves the share x_i = δ/(σ_i² + δ) of direction i, u_i = 1 − x_i.

    Attributes:
      residual: R = Σ x_i² e_i + ‖y‖² − Σe_i = ‖y − Φw‖².
      freedom: D = Σ u_i, the degrees of freedom of the fit.
      left: a = N − D = N − r + Σ x_i.
      left_squared: b = N − r + Σ x_i².
      second_freedom: df₂ = N − a²/b, the Σ u_i² that an endless sample would have.
    """

    residual: Float[Array, "*k"]
    freedom: Float[Array, ""]
    left: Float[Array, ""]
    left_squared: Float[Array, ""]
    second_freedom: Float[Array, ""]


def fit(directions: Directions, delta: Float[Array, ""]) -> Fit:
    """The Fit at a strength δ > 0, in units of σ_1²."""
    kept = directions.squares / (directions.squares + delta)  # u
    left = jnp.where(directions.inside, delta / (directions.squares + delta), 0)  # x
    beyond = directions.rows - jnp.sum(directions.inside.astype(directions.rows.dtype))  # N − r
    a = beyond + jnp.sum(left)
    b = beyond + jnp.sum(left**2)
    freedom = jnp.sum(kept)
    # df₂ = N − a²/b, which cancels where little is fitted. With c = (a − b)/b it is
    # (1 + c) Σu² − c D, which cancels where nearly all is.
    c = jnp.sum(left * kept) / b
    of_little = (1 + c) * jnp.sum(kept**2) - c * freedom
    return Fit(
        residual=matmul(left**2, directions.energy) + directions.outside,
        freedom=freedom,
        left=a,
        left_squared=b,
        second_freedom=jnp.where(c < 1, of_little, directions.rows - a**2 / b),
    )


def error_with(one: Fit, n: Float[Array, ""], rows: Float[Array, ""]) -> Float[Array, "*k"]:
    """E(n) = B/(1 − df₂/n) with B = R/b: the error per row of n rows at the strength
    ``strength_with``. With n = N it is GCV(δ) = N R/a².
    """
    # B/(1 − df₂/n) with df₂ = N − a²/b, over one divisor.
    return n * one.residual / (one.left**2 + (n - rows) * one.left_squared)


def strength_with(
    one: Fit, delta: Float[Array, ""], n: Float[Array, ""], rows: Float[Array, ""]
) -> Float[Array, ""]:
    """ρ(n) = δ(n − D)/(N − D): the strength with which n rows shrink directions as N rows do at δ;
    negative where n < D, which no strength does.
    """
    return delta * (n - rows + one.left) / one.left


def is_reached(
    directions: Directions, strength: Float[Array, ""], n: Float[Array, ""]
) -> Bool[Array, ""]:
    """Whether some δ > 0 stands for ρ: with r = N, from ρ = (n − N)/Σ σ_i⁻² on, which is δ → 0."""
    delta = jnp.asarray(directions.least, strength.dtype)
    least = strength_with(fit(directions, delta), delta, n, directions.rows)
    return least <= strength + delta * (n + 2)


def transported(
    directions: Directions, strength: Float[Array, ""], n: Float[Array, ""]
) -> Float[Array, ""]:
    """The δ with δ(n − D)/(N − D) = ρ, which grows with δ where n > D."""
    fixed, rho, rows = lax.stop_gradient((directions, strength, n))

    def excess(delta: Array, directions: Directions, rho: Array, n: Array) -> Array:
        return strength_with(fit(directions, delta), delta, n, directions.rows) - rho

    # From δ = 2 max(Σσ², Nρ)/n on D is at most n/2, and the left side at least δn/2N ≥ ρ.
    high = 2 * jnp.maximum(jnp.sum(fixed.squares), fixed.rows * rho) / rows
    high = jnp.maximum(high, 2 * fixed.least)
    low = jnp.asarray(fixed.least, high.dtype)
    delta = root(lambda delta: excess(delta, fixed, rho, rows), low, high)
    # A step of Newton's from the solution, which it leaves where it is, has the derivative of the
    # implicit function: dδ = −d(excess)/(∂excess/∂δ).
    slope = jax.grad(excess)(delta, fixed, rho, rows)
    change = excess(delta, directions, strength, n) - excess(delta, fixed, rho, rows)
    return delta - change / slope
