"""The moments route for arrays at hand: everything the label spectrum needs is in ΦᵀΦ and ΦᵀY (for
wide Φ, in ΦΦᵀ).
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
from jax import Array

from jaxalign._core.linalg import eigh, looped, matmul
from jaxalign._spectrum.decomposition import Decomposition, Route

RESOLUTION = 4 * 2.0**-26
"""Singular values under this share of σ_1 are noise (4√eps of float64): squares of them round away
in the Gram matrix.
"""

_BLOCK = 512
_WORTH_STRIPS = (
    400  # columns; of fewer the small products take as long as the one that computes everything
)


def decompose(features: Array, targets: Array) -> Decomposition:
    """Φ = U diag(σ) Vᵀ from the eigenvectors of the smaller Gram matrix: λ = σ², UᵀY = diag(1/σ)
    Vᵀ(ΦᵀY).

    The squared condition number costs half the digits: float64 resolves 6e-8·σ_1, far below what
    float32 data carry.

    Args:
      features: (n, d), any real dtype; float64 from here on.
      targets: (n, k), likewise.
    """
    n, d = features.shape
    wide = features.astype(jnp.float64)
    if n < d:
        sigma, left = singular_vectors(products([features.T]))
        return Decomposition(
            sigma,
            matmul(left.T, targets.astype(jnp.float64)),
            left,
            over(matmul(wide.T, left), sigma),
        )
    both = products([features], [targets])
    sigma, right = singular_vectors(both[:, :d])
    return Decomposition(
        sigma, over(matmul(both[:, d:].T, right), sigma).T, over(matmul(wide, right), sigma), right
    )


def products(left: Sequence[Array], right: Sequence[Array] = ()) -> Array:
    """Aᵀ[A B] in float64 of A = [left...] and B = [right...], matrices of n rows each; BᵀB, k² of
    it, is nobody's business.
    """
    own = sum(c.shape[1] for c in left)
    in_blocks, at_once = looped(partial(_products_in_blocks, own)), partial(_products_at_once, own)
    return jax.lax.platform_dependent(*left, *right, cpu=in_blocks, default=at_once)


def _products_at_once(own: int, *columns: Array) -> Array:
    rows = jnp.concatenate([c.astype(jnp.float64) for c in columns], axis=1)
    return matmul(rows[:, :own].T, rows)


def _products_in_blocks(own: int, *columns: Array) -> Array:
    """Blocks of rows that stay in cache, each turned into float64 on the way: 1.6 times as fast as
    at once on a CPU.

    Of a wide symmetric matrix only a staircase above the diagonal is computed, in strips high
    enough for XLA's kernel.
    """
    strips = 3 if own >= _WORTH_STRIPS else 1
    edges = list(pairwise(own * i // strips for i in range(strips + 1)))

    def block(columns) -> list[Array]:
        # Behind the barrier the transpose is an array of its own, the operand that XLA's CPU kernel
        # is fastest with.
        turned = jax.lax.optimization_barrier(
            jnp.concatenate([c.T.astype(jnp.float64) for c in columns])
        )
        return [matmul(turned[start:stop], turned[start:].T) for start, stop in edges]

    n = len(columns[0])
    whole = n - n % _BLOCK
    width = sum(c.shape[1] for c in columns)
    total = [jnp.zeros((stop - start, width - start), jnp.float64) for start, stop in edges]
    add = partial(jax.tree.map, jnp.add)
    if whole:
        blocks = [c[:whole].reshape(-1, _BLOCK, c.shape[1]) for c in columns]
        total, _ = jax.lax.scan(
            lambda so_far, rows: (add(so_far, block(rows)), None), total, blocks
        )
    if whole < n:
        total = add(total, block([c[whole:] for c in columns]))
    return jnp.concatenate([_row(total[: i + 1], edges[: i + 1]) for i in range(strips)])


def _row(strips: list[Array], edges: list[tuple[int, int]]) -> Array:
    """Rows of the whole matrix: the last of these strips, and left of it what the ones before have
    in its columns.
    """
    start, stop = edges[-1]
    above = [
        strip[:, start - begin : stop - begin].T
        for strip, (begin, _) in zip(strips[:-1], edges[:-1], strict=True)
    ]
    return jnp.concatenate([*above, strips[-1]], axis=1)


def singular_vectors(gram: Array) -> tuple[Array, Array]:
    """(σ, V) of a matrix from its Gram matrix V diag(σ²) Vᵀ, σ descending; eigenvalues rounded
    under 0 are 0.
    """
    vectors, values = eigh(gram)
    return jnp.sqrt(jnp.maximum(values[::-1], 0)), vectors[:, ::-1]


def over(columns, sigma):
    """Columns over their σ, of jax or of numpy; where σ = 0 they are left alone (noise, which the
    rank tolerance drops).
    """
    return columns / sigma.__array_namespace__().where(sigma == 0, 1, sigma)


ROUTE = Route(decompose, float64=True, resolution=RESOLUTION)
