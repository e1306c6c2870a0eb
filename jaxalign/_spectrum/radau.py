"""Sharp bounds of the curve from a few moments of the spectral measure: Gauss–Radau rules with a
node at the threshold.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxalign._core.linalg import eigh
from jaxalign._core.loops import scan


def curve_bounds(
    alpha: Float[Array, "m k"],
    beta: Float[Array, "m k"],
    rounding: Float[Array, ""],
    total: Float[Array, " k"],
    tau: Float[Array, " t"],
    slack: float,
) -> tuple[Float[Array, "t k"], Float[Array, "t k"]]:
    """(lower, upper) bounds of A(τ), in float64.

    Args:
      alpha: the diagonal of the lower bidiagonal L.
      beta: its subdiagonal; the last entry couples it to the rest of the space.
      rounding: ρ: L is that of some Φ + E, ‖E‖ ≤ ρσ_1.
      total: ‖y‖².
      tau: thresholds τ.
      slack: what rounding of the result may change, as a share of ‖y‖².
    """
    # LLᵀ is tridiagonal: α_i² + β_i² on its diagonal, α_i β_{i+1} beside it.
    before = jnp.pad(beta[:-1], ((1, 0), (0, 0)))
    diagonal = alpha**2 + before**2
    coupling = alpha * beta

    # Davis and Kahan: √A(τ) lies between √A'(τ ± √ρσ_1) ∓ √ρ‖y‖, with A' the curve of Φ + E. A row
    # of [L; β] is no longer than σ_1; twice the longest takes the place of σ_1.
    norm = jnp.max(jnp.sqrt(diagonal + beta**2), axis=0)
    root = jnp.sqrt(rounding)
    above, _ = _shares(diagonal, coupling, tau[:, None] + 2 * root * norm[None, :])
    _, from_here = _shares(diagonal, coupling, tau[:, None] - 2 * root * norm[None, :])
    total = total[None, :]
    lower = (jnp.maximum(jnp.sqrt(above) - root, 0) ** 2 - slack) * total
    upper = ((jnp.sqrt(from_here) + root) ** 2 + slack) * total

    # A lies between 0 and ‖y‖², and is ‖y‖² at τ ≤ 0.
    most = total * (1 + 2 * rounding)
    lower = jnp.where(tau[:, None] <= 0, total, jnp.maximum(lower, 0))
    upper = jnp.where(tau[:, None] <= 0, total, jnp.minimum(upper, most))
    return lower, upper


def _shares(
    diagonal: Float[Array, "m k"], coupling: Float[Array, "m k"], tau: Float[Array, "t k"]
) -> tuple[Float[Array, "t k"], Float[Array, "t k"]]:
    """Shares of ‖y‖² at nodes σ² above z = τ², and at or above it."""
    of_columns = jax.vmap(_radau, (1, 1, 0))
    of_thresholds = jax.vmap(of_columns, (None, None, 0))
    return of_thresholds(diagonal, coupling, jnp.maximum(tau, 0) ** 2)


def _radau(
    diagonal: Float[Array, " m"], coupling: Float[Array, " m"], z: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Weights of the nodes strictly above z, and at or above z, of the rule with a node at z.

    Golub (1973): the tridiagonal matrix T, extended by a row whose diagonal entry is z + b_m²/p_m,
    has z as an eigenvalue. p_m is the last pivot of T − zI; eigenvalues are nodes, squares of first
    components of eigenvectors are weights.
    """
    eps = jnp.finfo(diagonal.dtype).eps
    scale = jnp.max(jnp.abs(diagonal)) + 2 * jnp.max(jnp.abs(coupling))
    last = _last_pivot(diagonal, coupling, z, tiny=eps * scale + jnp.finfo(diagonal.dtype).tiny)
    extended = jnp.diag(jnp.append(diagonal, z + coupling[-1] ** 2 / last))
    extended = extended + jnp.diag(coupling, 1) + jnp.diag(coupling, -1)
    vectors, nodes = eigh(extended)
    weights = vectors[0] ** 2

    # A node that rounding cannot tell from z is counted where that keeps the bound a bound. NaN is
    # counted and stays NaN.
    margin = 32 * eps * jnp.maximum(scale, z)
    above = jnp.sum(jnp.where(nodes <= z + margin, 0, weights))
    from_here = jnp.sum(jnp.where(nodes < z - margin, 0, weights))
    return above, from_here


def _last_pivot(
    diagonal: Float[Array, " m"], coupling: Float[Array, " m"], z: Float[Array, ""], tiny: Array
) -> Float[Array, ""]:
    """p_m of p_i = a_i − z − b_{i−1}²/p_{i−1}, p_1 = a_1 − z; none is nearer to 0 than ``tiny``."""

    def step(previous: Array, entry: tuple[Array, Array]) -> tuple[Array, None]:
        a, squared = entry
        pivot = a - z - squared / previous
        # A zero pivot means that z is a node already: a tiny one moves it by rounding only.
        bounded = jnp.where(pivot < 0, -tiny, tiny)
        return jnp.where(jnp.abs(pivot) < tiny, bounded, pivot), None

    squares = jnp.pad(coupling[:-1] ** 2, (1, 0))
    last, _ = scan(step, jnp.ones((), diagonal.dtype), (diagonal, squares))
    return last
