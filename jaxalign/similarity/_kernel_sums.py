"""Six sums over two kernels, from which HSIC, CKA, their null and the correlation of squared
distances follow.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxalign.similarity._gram import gram


class KernelSums(NamedTuple):
    """Sums over kernels K and L (n, n) that are centred in rows and columns.

    Attributes:
      n: () number of rows.
      traces: (2,) tr K and tr L.
      inner: (3,) ⟨K, L⟩ = Σ_ij k_ij l_ij, ⟨K, K⟩ and ⟨L, L⟩.
      diagonal: (3,) Σ_i k_ii l_ii, Σ k_ii² and Σ l_ii².
    """

    n: Float[Array, ""]
    traces: Float[Array, " 2"]
    inner: Float[Array, " 3"]
    diagonal: Float[Array, " 3"]


def of_centred_kernels(x_kernel: Float[Array, "n n"], y_kernel: Float[Array, "n n"]) -> KernelSums:
    """The sums of kernels that are centred."""
    diagonals = jnp.stack([jnp.diagonal(x_kernel), jnp.diagonal(y_kernel)])
    return KernelSums(
        n=jnp.asarray(len(x_kernel), x_kernel.dtype),
        traces=jnp.sum(diagonals, axis=1),
        inner=_inner(x_kernel, y_kernel),
        diagonal=_inner(*diagonals),
    )


def _inner(x: Float[Array, "*n"], y: Float[Array, "*n"]) -> Float[Array, " 3"]:
    """⟨x, y⟩, ⟨x, x⟩ and ⟨y, y⟩."""
    return jnp.stack([jnp.sum(x * y), jnp.sum(x * x), jnp.sum(y * y)])


def unit_kernels(sums: KernelSums) -> KernelSums:
    """The sums of K/‖K‖ and L/‖L‖; NaN where one is 0."""
    x, y = jnp.sqrt(sums.inner[1]), jnp.sqrt(sums.inner[2])
    first = jnp.stack([x, x, y])
    second = jnp.stack([y, x, y])
    return KernelSums(
        n=sums.n,
        traces=sums.traces / jnp.stack([x, y]),
        inner=sums.inner / first / second,
        diagonal=sums.diagonal / first / second,
    )


def of_centred_features(x: Float[Array, "n p"], y: Float[Array, "n q"]) -> KernelSums:
    """The sums of XXᵀ and YYᵀ for X and Y about their means, by the smaller products."""
    n, p = x.shape
    if not is_tall(x, y):
        return of_centred_kernels(gram(x.T), gram(y.T))
    # ⟨XXᵀ, YYᵀ⟩ = ‖XᵀY‖².
    products = gram(jnp.concatenate([x, y], axis=1))
    squares = jnp.stack([jnp.sum(x**2, axis=1), jnp.sum(y**2, axis=1)])
    return KernelSums(
        n=jnp.asarray(n, x.dtype),
        traces=jnp.sum(squares, axis=1),
        inner=squared_norms(products, p),
        diagonal=_inner(*squares),
    )


def is_tall(x: Any, y: Any) -> bool:
    """Whether XᵀX, XᵀY and YᵀY take fewer products than XXᵀ and YYᵀ."""
    n, p = x.shape
    q = y.shape[1]
    return p * p + p * q + q * q <= n * (p + q)


def squared_norms(products: Float[Array, "w w"], p: int) -> Float[Array, " 3"]:
    """‖XᵀY‖², ‖XᵀX‖² and ‖YᵀY‖² from [X Y]ᵀ[X Y], X of p columns."""
    blocks = products[:p, p:], products[:p, :p], products[p:, p:]
    return jnp.stack([jnp.sum(block**2) for block in blocks])
