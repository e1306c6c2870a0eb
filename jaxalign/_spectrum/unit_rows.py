"""The quadrature of Φ = [X 1] of unit rows by products with X: Φ itself is not formed."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxalign._core.derivatives import without_derivative
from jaxalign._core.linalg import matmul
from jaxalign._spectrum.bidiagonal import bidiagonalize
from jaxalign._spectrum.quadrature import NO_DERIVATIVE, Quadrature, of_bidiagonal

_LARGEST = 2.0**100
"""Beyond it 1/‖(x, 1)‖ times a unit vector is not an ordinary float32: the result is NaN, as it is
for networks that have left float32.
"""


@partial(without_derivative, reason=NO_DERIVATIVE, static=(2,))
@partial(jax.jit, static_argnums=(2,))
def quadrature_of_unit_rows(
    features: Float[Array, "n d"], targets: Float[Array, "n k"], order: int
) -> Quadrature:
    """``quadrature(unit_rows(features), targets, order=order, dtype="float32")`` of traced float32
    arrays: with Φ = diag(s)[X 1],

        Φv = s ∘ (Xv' + v_{d+1}),    Φᵀu = (Xᵀ(s ∘ u), Σ s ∘ u).

    On a CPU, forming Φ takes as long as all products with it, and its rows of d + 1 numbers are
    read less well than those of X.
    """
    scale = _inverse_norms(features)

    def product(v: Float[Array, "k w"]) -> Float[Array, "k n"]:
        return (matmul(v[:, :-1], features.T) + v[:, -1:]) * scale

    def transposed(u: Float[Array, "k n"]) -> Float[Array, "k w"]:
        scaled = u * scale
        ones = jnp.sum(scaled, axis=1, keepdims=True)
        return jnp.concatenate([matmul(scaled, features), ones], axis=1)

    width = features.shape[1] + 1
    return of_bidiagonal(bidiagonalize(product, transposed, targets.T, width, order))


def _inverse_norms(features: Float[Array, "n d"]) -> Float[Array, " n"]:
    """1/‖(x, 1)‖ of each row x, of squares that neither overflow nor vanish."""
    largest = jnp.maximum(jnp.max(jnp.abs(features), axis=1), 1)
    squares = jnp.sum((features / largest[:, None]) ** 2, axis=1) + (1 / largest) ** 2
    return jnp.where(largest > _LARGEST, jnp.nan, 1 / (largest * jnp.sqrt(squares)))
