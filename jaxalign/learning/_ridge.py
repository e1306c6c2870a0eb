"""Ridge regression on all N rows at one strength δ, in the few sums by which everything about other
numbers of rows is told.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from jaxalign._core.linalg import matmul
from jaxalign._spectrum.types import Spectrum


class Directions(NamedTuple):
    """A label spectrum in the units of σ_1², in which strengths are told.

    Attributes:
      inside: which directions are in the column space.
      squares: σ_i²/σ_1².
      energy: e_i = (u_iᵀy)², of one target or of each.
      outside: ‖y‖² − Σe_i, what no direction holds.
      rows: N.
      unit: σ_1².
    """

    inside: Bool[Array, " r"]
    squares: Float[Array, " r"]
    energy: Float[Array, "*rk"]
    outside: Float[Array, "*k"]
    rows: Float[Array, ""]
    unit: Float[Array, ""]

    def of_target(self, energy: Float[Array, " r"], outside: Float[Array, ""]) -> "Directions":
        """Those of one target."""
        return self._replace(energy=energy, outside=outside)

    @property
    def least(self) -> float:
        """A strength that no direction feels, in place of 0, where quotients are 0/0."""
        return float(jnp.finfo(self.squares.dtype).eps) ** 2


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


def directions_of(spectrum: Spectrum) -> Directions:
    """The Directions of all targets of one spectrum."""
    sigma = spectrum.singular_values
    largest = jnp.where(sigma[0] > 0, sigma[0], 1)
    inside = jnp.arange(len(sigma)) < spectrum.rank
    energy = jnp.where(inside[:, None], spectrum.energy, 0)
    return Directions(
        inside=inside,
        squares=jnp.where(inside, (sigma / largest) ** 2, 0),
        energy=energy,
        # Rounding may leave less than 0 where y lies in the column space.
        outside=jnp.maximum(spectrum.total - jnp.sum(energy, axis=0), 0),
        rows=spectrum.num_samples.astype(sigma.dtype),
        unit=largest**2,
    )


def fit(directions: Directions, delta: Float[Array, ""]) -> Fit:
    """The Fit at a strength δ > 0, in units of σ_1²."""
    kept = directions.squares / (directions.squares + delta)  # u
    left = jnp.where(directions.inside, delta / (directions.squares + delta), 0)  # x
    beyond = directions.rows - jnp.sum(directions.inside)  # N − r
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
