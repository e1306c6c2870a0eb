"""The eigensystem of a Gram matrix to float64's accuracy from float32 eigensolvers.

A float32 eigensolver leaves errors of 2⁻²²·λ_1 or so, in which eigenvalues below that disappear.
But a rotation Q that is only orthogonal loses nothing if QᵀGQ is computed without rounding
(Ostrowski 1959: λ changes relatively by ‖QᵀQ − I‖): the small eigenvalues then stand in a block
of their own, far from the large ones, and the eigensolver is applied to it again at its own scale.
In the last stage it is applied to eigenvalues that are too close to each other: less the largest of
them, they are small, too.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from jaxalign._core.expansions import Expansion, power_of_two, renormalized, rounded
from jaxalign._core.linalg import eigh, eigh_on_tpu, matmul
from jaxalign._core.loops import repeated
from jaxalign._spectrum.integer_products import digits_of, product, table_of

# How often the eigensolver is applied to bands; each time resolves about 14 bits more of λ.
_STAGES = 4
_BAND = 7
# Couplings above this share of the gap are left to the eigensolver.
_LARGEST_ANGLE = 0.1


class Eigensystem(NamedTuple):
    """G = V diag(σ²) Vᵀ, σ descending, and VᵀX of the X given with G."""

    sigma: Float[Array, " d"]
    rotated: Expansion


def eigensystem(matrix: Expansion, columns: Expansion) -> Eigensystem:
    """The eigensystem of a positive semidefinite G (d, d), and a matrix X (d, k) rotated into
    it.
    """
    columns = renormalized((*columns, *[jnp.zeros_like(columns[0])] * 2), 3)
    first = _State(renormalized(matrix, 3), columns)
    state = repeated(2 * (_STAGES + 1), _step, first)
    values = jnp.diagonal(state.matrix[0])
    order = jnp.argsort(-values)
    rotated = tuple(part[order] for part in state.columns)
    # Rounding may leave eigenvalues below 0.
    return Eigensystem(jnp.sqrt(jnp.maximum(values[order], 0)), rotated)


class _State(NamedTuple):
    matrix: Expansion  # QᵀGQ with the rotations Q so far
    columns: Expansion  # QᵀX


def _step(count: Int[Array, ""], state: _State) -> _State:
    """By turns the eigensolver and perturbation theory."""
    rotation = lax.cond(count % 2 == 0, _solved, _decoupled, state.matrix, count // 2)
    return _turned(state, rotation)


def _solved(matrix: Expansion, stage: Int[Array, ""]) -> Float[Array, "d d"]:
    is_band = stage < _STAGES
    blocks = _choice(is_band, _bands(matrix, stage), _clusters(matrix))
    vectors = _eigh(_apart(blocks))[0][:, ::-1]
    # Eigenvectors are in the order of their blocks. The eigensolver's rounding mixes clusters, and
    # so large eigenvalues into small ones.
    return jnp.where(is_band | _are_together(blocks.number), vectors, 0)


_eigh = partial(lax.platform_dependent, tpu=eigh_on_tpu, default=eigh)


class _Blocks(NamedTuple):
    matrix: Float[Array, "d d"]
    number: Int[Array, " d"]  # of the block that a row belongs to


def _are_together(number: Int[Array, " d"]) -> Bool[Array, "d d"]:
    return number[:, None] == number[None, :]


def _largest(values: Float[Array, " d"], number: Int[Array, " d"]) -> Float[Array, " d"]:
    """The largest value of the block that each row belongs to."""
    return jnp.max(jnp.where(_are_together(number), values[None, :], -jnp.inf), axis=1)


def _bands(matrix: Expansion, stage: Int[Array, ""]) -> _Blocks:
    """Blocks of eigenvalues of similar size.

    In the first stage (``stage`` = 0) there is one block: nothing is known yet.
    """
    whole = rounded(matrix)
    values = jnp.diagonal(whole)
    bits = -jnp.log2(jnp.clip(values / jnp.max(values), 2.0**-126, 1))
    # Borders that move by half a band: what one stage splits, the next one holds together.
    offset = 0.5 * (stage % 2).astype(jnp.float32)
    band = jnp.floor(bits / _BAND + offset).astype(jnp.int32)
    return _Blocks(whole, jnp.minimum(band, (3 * stage + 1) // 2))


def _clusters(matrix: Expansion) -> _Blocks:
    """Blocks of eigenvalues whose couplings are large against their gaps, less the largest of
    each, as a multiple of the identity.
    """
    _, is_small = _gaps(matrix)
    # Eigenvalues i and j > i that are coupled hold together all between them: j opens, i closes.
    is_coupled = jnp.triu(~is_small & (matrix[0] != 0), 1).astype(jnp.int32)
    held = jnp.cumsum(is_coupled.sum(axis=1) - is_coupled.sum(axis=0))
    number = jnp.cumsum(jnp.pad(held[:-1] == 0, (1, 0)).astype(jnp.int32))
    shift = jnp.diag(_largest(jnp.diagonal(matrix[0]), number))
    return _Blocks(rounded((matrix[0] - shift, *matrix[1:])), number)


def _apart(blocks: _Blocks) -> Float[Array, "d d"]:
    """The blocks, each scaled to 1, and apart from each other by multiples of the identity, so that
    eigenvectors do not mix.
    """
    matrix, number = blocks
    block = jnp.where(_are_together(number), matrix, 0)
    _, exponent = jnp.frexp(_largest(jnp.sum(jnp.abs(block), axis=1), number))
    scale = power_of_two(jnp.clip(-exponent, -126, 126))
    # The eigenvalues of a block are within ±1.
    shift = 2.5 * (jnp.max(number) - number).astype(jnp.float32)
    return block * scale[:, None] + jnp.diag(shift)


def _turned(state: _State, vectors: Float[Array, "d d"]) -> _State:
    """Everything in the coordinates of vectors that are orthonormal up to float32."""
    # Three products of one shape, so that they are one program: QᵀQ, (QᵀG)ᵀ and (Qᵀ(GQ))ᵀ.
    nothing = jnp.zeros_like(vectors)
    start = (vectors, nothing), _State((vectors, nothing, nothing), state.columns)
    step = partial(_turned_once, state, vectors)
    _, turned = repeated(3, step, start)
    # The rows of small eigenvalues are computed without cancellation: below the diagonal.
    matrix = tuple(jnp.tril(part) + jnp.tril(part, -1).T for part in turned.matrix)
    return _State(matrix, turned.columns)


def _turned_once(
    state: _State,
    vectors: Float[Array, "d d"],
    count: Int[Array, ""],
    current: tuple[Expansion, _State],
) -> tuple[Expansion, _State]:
    turn, right = current
    d = len(vectors)
    both = tuple(jnp.concatenate(part, axis=1) for part in zip(*right, strict=True))
    both = product(digits_of(table_of(turn)), digits_of(table_of(both), words=2), parts=3)
    matrix = tuple(part[:, :d].T for part in both)
    # Q(I + E) with E = (I − QᵀQ)/2 is orthonormal up to E²; QE is small, so float32 will do.
    error = (jnp.eye(d, dtype=jnp.float32) - matrix[0] - matrix[1]) / 2
    orthonormal = renormalized((vectors, matmul(vectors, error)), 2)
    # The columns are turned once.
    columns = _choice(count == 1, tuple(part[:, d:] for part in both), right.columns)
    return _choice(count == 0, (orthonormal, state), (turn, _State(matrix, columns)))


def _choice(condition: Bool[Array, ""], first: Any, second: Any) -> Any:
    return jax.tree.map(partial(jnp.where, condition), first, second)


def _decoupled(matrix: Expansion, stage: Int[Array, ""]) -> Float[Array, "d d"]:
    """A rotation e^X with X_ij = G_ij/(λ_j − λ_i), which squares couplings that are small against
    the gap.
    """
    gap, is_small = _gaps(matrix)
    angle = jnp.where(is_small, matrix[0] / jnp.where(is_small, gap, 1), 0)
    angle = jnp.triu(angle, 1) - jnp.triu(angle, 1).T
    return jnp.eye(len(angle), dtype=jnp.float32) + angle + matmul(angle, angle) / 2


def _gaps(matrix: Expansion) -> tuple[Float[Array, "d d"], Bool[Array, "d d"]]:
    """λ_j − λ_i, and where the coupling G_ij is small against it."""
    values = [jnp.diagonal(part) for part in matrix]
    gap = rounded(tuple(value[None, :] - value[:, None] for value in values))
    # Together they stay a small rotation.
    largest_angle = _LARGEST_ANGLE / len(gap) ** 0.5
    return gap, jnp.abs(matrix[0]) < largest_angle * jnp.abs(gap)
