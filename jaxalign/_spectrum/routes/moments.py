"""The moments route for arrays at hand: everything the label spectrum needs is in ΦᵀΦ and ΦᵀY (for
wide Φ, in ΦΦᵀ).
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxalign._core.linalg import eigh, matmul
from jaxalign._core.loops import looped, scan
from jaxalign._spectrum.decomposition import Decomposition, Route
from jaxalign._spectrum.routes.precision import in_float64

RESOLUTION = 4 * 2.0**-26
"""Singular values below this share of σ_1 are noise (4√eps of float64): their squares are lost to
rounding in the Gram matrix.
"""

# Rows of a block that stay in cache.
_BLOCK = 512
# Columns; with fewer the smaller products take as long as the whole one.
_WORTH_STRIPS = 400


def decompose(features: Float[Array, "n d"], targets: Float[Array, "n k"]) -> Decomposition:
    """Φ = U diag(σ) Vᵀ from the eigenvectors of the smaller Gram matrix.

    The squared condition number costs half the digits: float64 resolves 6e-8·σ_1, far below what
    float32 data carry.

    Args:
      features: (n, d), any real dtype; float64 from here on.
      targets: (n, k), likewise.
    """
    n, d = features.shape
    wide = features.astype(jnp.float64)
    if n < d:
        # ΦΦᵀ = U diag(σ²) Uᵀ, and V = ΦᵀU diag(1/σ).
        sigma, left = singular_vectors(products([features.T]))
        right = over(matmul(wide.T, left), sigma)
        return Decomposition(sigma, matmul(left.T, targets.astype(jnp.float64)), left, right)
    # ΦᵀΦ = V diag(σ²) Vᵀ, UᵀY = diag(1/σ) Vᵀ(ΦᵀY) and U = ΦV diag(1/σ).
    both = products([features], [targets])
    sigma, right = singular_vectors(both[:, :d])
    coordinates = over(matmul(both[:, d:].T, right), sigma).T
    return Decomposition(sigma, coordinates, over(matmul(wide, right), sigma), right)


def products(left: Sequence[Array], right: Sequence[Array] = ()) -> Float[Array, "a c"]:
    """Aᵀ[A B] in float64 of A = [left...] and B = [right...], matrices of n rows each. BᵀB is not
    needed and not computed.
    """
    width = sum(c.shape[1] for c in left)
    in_blocks = looped(partial(_products_in_blocks, width))
    at_once = partial(_products_at_once, width)
    return jax.lax.platform_dependent(*left, *right, cpu=in_blocks, default=at_once)


def _products_at_once(width: int, *columns: Array) -> Array:
    rows = jnp.concatenate([c.astype(jnp.float64) for c in columns], axis=1)
    return matmul(rows[:, :width].T, rows)


def _products_in_blocks(width: int, *columns: Array) -> Array:
    """Sums over blocks of rows that stay in cache, each converted to float64 on the way: 1.6 times
    as fast as at once on a CPU.
    """
    # Of AᵀA only the upper triangle is needed. Of a wide one, strips i = 1...3 of rows are computed
    # from their diagonal block to the right, each high enough for XLA's kernel.
    strips = 3 if width >= _WORTH_STRIPS else 1
    edges = list(pairwise(width * i // strips for i in range(strips + 1)))

    def block_products(columns: Sequence[Array]) -> list[Array]:
        # Behind the barrier the transpose is an array of its own, the operand that XLA's CPU kernel
        # is fastest with.
        transposed = jax.lax.optimization_barrier(
            jnp.concatenate([c.T.astype(jnp.float64) for c in columns])
        )
        return [matmul(transposed[start:stop], transposed[start:].T) for start, stop in edges]

    def add_block(total: list[Array], columns: list[Array]) -> tuple[list[Array], None]:
        return jax.tree.map(jnp.add, total, block_products(columns)), None

    n = len(columns[0])
    whole = n - n % _BLOCK
    all_columns = sum(c.shape[1] for c in columns)
    total = [jnp.zeros((stop - start, all_columns - start), jnp.float64) for start, stop in edges]
    if whole > 0:
        blocks = [c[:whole].reshape(-1, _BLOCK, c.shape[1]) for c in columns]
        total, _ = scan(add_block, total, blocks)
    if whole < n:
        total, _ = add_block(total, [c[whole:] for c in columns])
    return jnp.concatenate([_full_rows(total[: i + 1], edges[: i + 1]) for i in range(strips)])


def _full_rows(strips: list[Array], edges: list[tuple[int, int]]) -> Array:
    """Whole rows of the matrix that the last strip is of: to the left of the strip the matrix is
    the transpose of earlier strips.
    """
    start, stop = edges[-1]
    mirrored = [
        strip[:, start - begin : stop - begin].T
        for strip, (begin, _) in zip(strips[:-1], edges[:-1], strict=True)
    ]
    return jnp.concatenate([*mirrored, strips[-1]], axis=1)


def singular_vectors(gram: Float[Array, "d d"]) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """(σ, V), σ descending, of a matrix with the Gram matrix V diag(σ²) Vᵀ."""
    vectors, values = eigh(gram)
    # Rounding may leave eigenvalues below 0.
    return jnp.sqrt(jnp.maximum(values[::-1], 0)), vectors[:, ::-1]


def over(columns: Any, sigma: Any) -> Any:
    """Columns divided by their σ, of jax or numpy arrays. Columns with σ = 0 stay as they are: they
    are noise, which the rank tolerance drops.
    """
    divisor = sigma.__array_namespace__().where(sigma == 0, 1, sigma)
    return columns / divisor[None, :]


ROUTE = Route(in_float64(decompose), float64=True, resolution=RESOLUTION)
