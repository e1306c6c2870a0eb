"""The directions of a label spectrum that are in the column space, and what lies outside it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from jaxalign._core.known import is_concrete
from jaxalign._core.warn import warn
from jaxalign._spectrum.types import Spectrum


class Directions(NamedTuple):
    """A label spectrum in the units of σ_1², in which strengths are told.

    Attributes:
      inside: which directions are in the column space.
      squares: σ_i²/σ_1².
      energy: e_i = (u_iᵀy)², of one target or of each.
      outside: ‖y‖² − Σe_i, what no direction holds.
      rows: N.
      largest: σ_1.
    """

    inside: Bool[Array, " r"]
    squares: Float[Array, " r"]
    energy: Float[Array, "*rk"]
    outside: Float[Array, "*k"]
    rows: Float[Array, ""]
    largest: Float[Array, ""]

    def of_target(self, energy: Float[Array, " r"], outside: Float[Array, ""]) -> "Directions":
        """Those of one target."""
        return self._replace(energy=energy, outside=outside)

    def strength(self, ridge: Float[Array, "*t"]) -> Float[Array, "*t"]:
        """ρ/σ_1², and at most what leaves nothing of any direction: the square of a small σ_1, or a
        quotient by it, may be out of range.
        """
        most = 1 / self.least
        is_beyond = ridge / self.largest / self.largest > most
        largest = jnp.where(is_beyond, 1, self.largest)
        return jnp.where(is_beyond, most, ridge / largest / largest)

    @property
    def least(self) -> float:
        """A strength that no direction feels, in place of 0, where quotients are 0/0."""
        return float(jnp.finfo(self.squares.dtype).eps) ** 2


def directions_of(spectrum: Spectrum) -> Directions:
    """The Directions of all targets of one spectrum."""
    sigma = spectrum.singular_values
    largest = jnp.where(sigma[0] > 0, sigma[0], 1)
    inside = jnp.arange(len(sigma), dtype=spectrum.rank.dtype) < spectrum.rank
    energy = jnp.where(inside[:, None], spectrum.energy, 0)
    # Rounding may leave less than 0 where y lies in the column space, and more than 0 where all do.
    outside = jnp.maximum(spectrum.total - jnp.sum(energy, axis=0), 0)
    leaves_room = spectrum.rank < spectrum.num_samples
    return Directions(
        inside=inside,
        squares=jnp.where(inside, (sigma / largest) ** 2, 0),
        energy=energy,
        outside=jnp.where(leaves_room, outside, 0),
        rows=spectrum.num_samples.astype(sigma.dtype),
        largest=largest,
    )


# What is left of a target below this share of ‖y‖², in eps, is known to a tenth at best.
_LEAST_LEFT = 16


def warn_of_rounding(spectrum: Spectrum, what: str, category: type[Warning]) -> None:
    """Warn where ‖y‖² − Σe_i of some target is rounding (eager calls): as where the target is far
    from 0 next to what the features leave of it.
    """
    if all(map(is_concrete, jax.tree.leaves(spectrum))) and _is_rest_rounding(spectrum):
        warn(
            f"{what} is of rounding: what the features leave of a target is less than "
            f"{spectrum.total.dtype} holds beside ‖y‖²; subtract the mean of the targets, or take "
            "a spectrum with centered=True, or one of float64 with jax_enable_x64",
            category,
        )


def _is_rest_rounding(spectrum: Spectrum) -> bool:
    total = np.asarray(spectrum.total, np.float64)
    rest = total - np.sum(np.asarray(spectrum.energy, np.float64), axis=-2)
    rounding = _LEAST_LEFT * float(jnp.finfo(spectrum.total.dtype).eps) * total
    # Of all directions, or of all about a mean, nothing is left in any case.
    rank = np.asarray(spectrum.rank)
    leaves_room = (rank > 0) & (rank < np.asarray(spectrum.num_samples) - 1)
    return bool((leaves_room[..., None] & (rest < rounding)).any())
