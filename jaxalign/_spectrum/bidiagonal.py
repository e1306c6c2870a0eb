"""Golub–Kahan bidiagonalization of Φ from given left vectors, by products with Φ and Φᵀ only."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import Precision
from jaxtyping import Float, Int

from jaxalign._core.loops import scan

Product = Callable[[Array], Array]


@partial(
    jax.tree_util.register_dataclass, data_fields=("alpha", "beta"), meta_fields=("size", "rows")
)
@dataclass(frozen=True)
class Bidiagonal:
    """The lower bidiagonal matrix L of m steps from each of k vectors y, and its start ‖y‖."""

    alpha: Float[Array, "m k"]  # the diagonal of L
    beta: Float[Array, "m+1 k"]  # ‖y‖, then the subdiagonal; its last entry couples L to the rest
    size: int  # max(n, d), the length of the longest sums
    rows: int  # n


class _State(NamedTuple):
    basis: Float[Array, "k m s"]  # all vectors so far of the shorter side, s = min(n, d)
    left: Float[Array, "k n"]  # u_i
    right: Float[Array, "k d"]  # v_{i−1}
    beta: Float[Array, " k"]  # β_i
    scale: Float[Array, " k"]  # the largest entry of L so far, which rounding is relative to


def bidiagonalize(
    product: Product, transposed: Product, y: Float[Array, "k n"], d: int, order: int
) -> Bidiagonal:
    """Paige and Saunders' lower bidiagonalization of Φ from each row of y: with u_1 = y/‖y‖,

        α_i v_i = Φᵀu_i − β_i v_{i−1},    β_{i+1} u_{i+1} = Φv_i − α_i u_i,    i = 1...m.

    Where all of y lies in an invariant subspace, some α or β is 0, and so are all that follow.

    Args:
      product: v (k, d) ↦ vΦᵀ (k, n): the vectors are rows, so that the basis is read in order.
      transposed: u (k, n) ↦ uΦ (k, d).
      y: the vectors to start from.
      d: number of columns of Φ.
      order: m.
    """
    k, n = y.shape
    norm = jnp.linalg.norm(y, axis=1)
    start = _State(
        basis=jnp.zeros((k, order, min(n, d)), y.dtype),
        left=y / jnp.where(norm == 0, 1, norm)[:, None],
        right=jnp.zeros((k, d), y.dtype),
        beta=jnp.zeros(k, y.dtype),
        scale=jnp.zeros(k, y.dtype),
    )

    def step(state: _State, i: Int[Array, ""]) -> tuple[_State, tuple[Array, Array]]:
        state, alpha = _to_right(state, transposed(state.left), i)
        state = _to_left(state, product(state.right), alpha)
        return state, (alpha, state.beta)

    alphas, betas = _loop(step, start, order)
    return Bidiagonal(alphas, jnp.concatenate([norm[None], betas]), max(n, d), n)


def _loop(
    step: Callable[[_State, Array], tuple[_State, tuple[Array, Array]]], state: _State, order: int
) -> tuple[Float[Array, "m k"], Float[Array, "m k"]]:
    """α and β of all steps."""
    steps = jnp.arange(order)
    if isinstance(steps, jax.core.Tracer):
        return scan(step, state, steps)[1]
    # Outside a program a scan would compile the products again at every call, and keep what they
    # knew at the first: here they run as they are.
    rows = []
    for i in steps:
        state, row = step(state, i)
        rows.append(row)
    alphas, betas = zip(*rows, strict=True)
    return jnp.stack(alphas), jnp.stack(betas)


@jax.jit
def _to_right(
    state: _State, image: Float[Array, "k d"], i: Int[Array, ""]
) -> tuple[_State, Float[Array, " k"]]:
    """v_i and α_i from Φᵀu_i."""
    # Only the shorter side is reorthogonalized, which halves what is read: L is then still that of
    # some [y Φ] + E, E as small as rounding (Barlow, Numerische Mathematik 2013).
    is_tall = state.right.shape[1] <= state.left.shape[1]
    right = image - state.beta[:, None] * state.right
    if is_tall:
        right = _orthogonal(right, state.basis)
    right, alpha = _normalized(right, state.scale)
    basis = state.basis.at[:, i].set(right if is_tall else state.left)
    scale = jnp.maximum(state.scale, alpha)
    return _State(basis, state.left, right, state.beta, scale), alpha


@jax.jit
def _to_left(state: _State, image: Float[Array, "k n"], alpha: Float[Array, " k"]) -> _State:
    """u_{i+1} and β_{i+1} from Φv_i."""
    is_tall = state.right.shape[1] <= state.left.shape[1]
    left = image - alpha[:, None] * state.left
    if not is_tall:
        left = _orthogonal(left, state.basis)
    left, beta = _normalized(left, state.scale)
    return _State(state.basis, left, state.right, beta, jnp.maximum(state.scale, beta))


def _orthogonal(vectors: Float[Array, "k s"], basis: Float[Array, "k m s"]) -> Float[Array, "k s"]:
    """``vectors`` minus their projection on the basis, whose unused rows are 0."""
    overlap = jnp.einsum("kms,ks->km", basis, vectors, precision=Precision.HIGHEST)
    return vectors - jnp.einsum("kms,km->ks", basis, overlap, precision=Precision.HIGHEST)


def _normalized(
    vectors: Float[Array, "k s"], scale: Float[Array, " k"]
) -> tuple[Float[Array, "k s"], Float[Array, " k"]]:
    """Vectors over their norms, and the norms; both are 0 where only rounding is left."""
    norm = jnp.linalg.norm(vectors, axis=1)
    # The recurrence has ended here: a unit vector of rounding would start another one.
    norm = jnp.where(norm <= 8 * jnp.finfo(vectors.dtype).eps * scale, 0, norm)
    return vectors / jnp.where(norm == 0, 1, norm)[:, None], norm
