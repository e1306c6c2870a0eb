"""The curve without an SVD: Golub–Kahan steps from y give a few nodes in place of all singular
values, and sharp bounds.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import Precision
from jax.typing import ArrayLike

from jaxalign._core.checks import as_matrices, as_real_floats, as_target_matrix, require_finite
from jaxalign._core.float64 import float64_inside
from jaxalign._core.linalg import eigh, matmul, svd
from jaxalign._spectrum.types import ROUTE_NAMES, Spectrum

Product = Callable[[Array], Array]


class Quadrature(NamedTuple):
    """What m Golub–Kahan steps from each target know of Φ. A pytree; every measure but a count
    reads its ``spectrum``.

    Attributes:
      spectrum: m + 1 nodes a target, those of all k targets together (r = (m + 1)·k, descending),
        one of which is 0 and holds what no product sees of y; a target has energy at its own nodes
        only. Σσ^{2p}·energy = yᵀ(ΦΦᵀ)^p y for p ≤ 2m, up to rounding. The area is at most that of
        Φ.
      diagonal: (m, k) of the lower bidiagonal L, Φ in the bases of the steps; LLᵀ is the Lanczos
        matrix of ΦΦᵀ started at y.
      subdiagonal: (m, k) of L, the last one of which couples it to the rest of the space.
      rounding: () what arithmetic may have changed Φ by, relative to its norm.
    """

    spectrum: Spectrum
    diagonal: Array
    subdiagonal: Array
    rounding: Array


def quadrature(
    features: ArrayLike | tuple[Product, Product],
    targets: ArrayLike,
    *,
    order: int = 16,
    dtype: Literal["float64", "float32"] = "float64",
) -> Quadrature:
    """Gauss–Radau quadrature of the spectral measure Σ_i (u_iᵀy)² δ(σ_i²) from ``order`` products
    with Φ and with Φᵀ.

    Golub–Kahan bidiagonalisation started at y, reorthogonalised on the shorter side, and a node at
    0, where most of y lies unless Φ is aligned with it: so the area is right to 1 % where Gauss's
    own nodes miss it by 20 %. Where y lies in a small invariant subspace the recurrence ends by
    itself and the result is exact. The loop is our own because it starts at the left vector y,
    takes all targets in one matrix product a step, and survives its own end under jit, which
    libraries' loops do not.

    Args:
      features: (n, d) Φ; or a pair of products, v (d, k) ↦ Φv (n, k) and u (n, k) ↦ Φᵀu (d, k),
        computed with in the targets' dtype (wrap the call in jit).
      targets: (n, k) Y; (n,) floats count as one column.
      order: m, from 1 to min(n, d).
      dtype: what a step on an array is computed in. "float32" takes half the time; its nodes and
        weights are good to 1e-6, and the certified bounds keep 1e-3 of ‖y‖² and of σ_1 apart.

    Returns:
      Quadrature; ``quadrature_bounds`` gives certified bounds of the curve.

    Raises:
      ValueError: as ``spectrum``; order out of range; another dtype; products whose shapes do not
        fit each other.
      TypeError: when differentiated.

    Example:
      >>> import jaxalign as ja
      >>> q = ja.quadrature([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 0.0], order=2)
      >>> q.spectrum.singular_values.round().tolist(), q.spectrum.energy.ravel().round().tolist()
      ([3.0, 1.0, 0.0], [4.0, 1.0, 0.0])

    Source: ours, on Golub, Kahan (1965), Golub (1973), Simon, Zha (2000) and Golub, Meurant (2010).
    """
    if dtype not in ("float64", "float32"):
        raise ValueError(f"dtype must be 'float64' or 'float32', found {dtype!r}")
    if (
        isinstance(features, tuple)
        and len(features) == 2
        and all(callable(product) for product in features)
    ):
        return _matrix_free(*features, targets, order)
    matrix, targets = as_matrices(cast(ArrayLike, features), targets)
    _require_order(order, *matrix.shape)
    return _of_matrix(matrix, targets, order, dtype)


def quadrature_bounds(quadrature: Quadrature, thresholds: ArrayLike) -> tuple[Array, Array]:
    """(lower, upper) bounds of A(τ): the sharpest that the first 2m moments of the spectral measure
    allow.

    Chebyshev, Markov and Stieltjes: with a node of the quadrature put at z = τ² (Gauss–Radau), the
    weights above z are at most A(τ), those at and above z at least A(τ). Both hold for the curve of
    Φ as given: arithmetic found the curve A' of some Φ + E, ‖E‖ ≤ ρσ_1, and by Davis and Kahan
    √A(τ) lies between √A'(τ ± √ρσ_1) ∓ √ρ‖y‖.

    Args:
      quadrature: of one representation.
      thresholds: (t,) values of τ.

    Returns:
      Two (t, k), in the units of y². At τ ≤ 0 both are ‖y‖².

    Raises:
      ValueError: thresholds not of shape (t,), or not finite (eager calls).

    Example:
      >>> import jaxalign as ja
      >>> q = ja.quadrature([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 0.0], order=1)
      >>> lower, upper = ja.quadrature_bounds(q, [2.0])
      >>> bool(lower[0, 0] <= 4.0 <= upper[0, 0])
      True

    Source: ours, on Golub (1973), Golub, Meurant (2010) and Davis, Kahan (1970).
    """
    tau = as_real_floats(thresholds, "thresholds")
    if tau.ndim != 1:
        raise ValueError(f"thresholds must have shape (t,), found {tau.shape}")
    require_finite(tau, "thresholds")
    return _bounds(quadrature, tau)


class _Bidiagonal(NamedTuple):
    alpha: Array  # (m, k) diagonal
    beta: Array  # (m + 1, k) ‖y‖, then the subdiagonal, then what couples to the rest
    size: int  # max(n, d), the length of the longest sums
    rows: int  # n


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
@partial(jax.jit, static_argnums=(2, 3))
def _of_matrix(features: Array, targets: Array, order: int, dtype: str) -> Quadrature:
    def solve(features, targets):
        phi, y = features.astype(dtype), targets.astype(dtype)
        product, transposed = lambda v: matmul(v, phi.T), lambda u: matmul(u, phi)
        found = _finish(_bidiagonalize(product, transposed, y.T, phi.shape[1], order))
        # Only the spectrum is rounded: bounds are certified with L as it is.
        return found._replace(spectrum=_rounded(found.spectrum, features.dtype))

    if dtype == "float64":
        return float64_inside(solve)(features, targets)
    return solve(features, targets)


def _rounded(spectrum: Spectrum, dtype: jnp.dtype) -> Spectrum:
    return replace(
        spectrum,
        singular_values=spectrum.singular_values.astype(dtype),
        energy=spectrum.energy.astype(dtype),
        total=spectrum.total.astype(dtype),
        dtype=dtype.name,
    )


@_of_matrix.defjvp
def _no_derivative(*_):
    raise TypeError(
        "quadrature has no derivative; differentiate spectrum(features, targets) instead"
    )


def _matrix_free(
    product: Product, transposed: Product, targets: ArrayLike, order: int
) -> Quadrature:
    y = as_target_matrix(targets)
    require_finite(y, "targets")
    n, k = y.shape
    right = jax.eval_shape(transposed, y)
    if right.ndim != 2 or right.shape[1] != k:
        raise ValueError(
            f"the second product must map (n, k) = {y.shape} to (d, k), found {right.shape}"
        )
    back = jax.eval_shape(product, jax.ShapeDtypeStruct(right.shape, y.dtype))
    if back.shape != y.shape:
        raise ValueError(
            f"the first product must map (d, k) = {right.shape} to (n, k) = {y.shape}, found {back.shape}"
        )
    _require_order(order, n, right.shape[0])

    def solve(y: Array) -> Quadrature:
        rows = _bidiagonalize(
            lambda v: product(v.T).T, lambda u: transposed(u.T).T, y.T, right.shape[0], order
        )
        return _finish(rows)

    guarded = jax.custom_jvp(solve)
    guarded.defjvp(_no_derivative)
    return guarded(y)


def _bidiagonalize(
    product: Product, transposed: Product, y: Array, d: int, order: int
) -> _Bidiagonal:
    """Paige and Saunders' lower bidiagonalisation of Φ from each row of y (k, n).

    New vectors are made orthogonal to all before on the shorter side alone, which halves what is
    read: L is then still that of some [y Φ] + E, E as small as rounding (Barlow, Numerische
    Mathematik 2013).

    Here the products take and give rows, v (k, d) ↦ vΦᵀ and u (k, n) ↦ uΦ: the basis (k, m, d) is
    then read in order.
    """
    k, n = y.shape
    eps = jnp.finfo(y.dtype).eps
    tall = d <= n

    def orthogonal(vectors: Array, basis: Array) -> Array:
        overlap = jnp.einsum("kmn,kn->km", basis, vectors, precision=Precision.HIGHEST)
        return vectors - jnp.einsum("kmn,km->kn", basis, overlap, precision=Precision.HIGHEST)

    def unit(vectors: Array, scale: Array) -> tuple[Array, Array]:
        """Normalised vectors and their norms; 0 where nothing but rounding is left."""
        norm = jnp.linalg.norm(vectors, axis=1)
        norm = jnp.where(norm <= 8 * eps * scale, 0, norm)
        return vectors / jnp.where(norm == 0, 1, norm)[:, None], norm

    def step(carry, i):
        basis, u, beta, previous, scale = carry
        v = transposed(u) - beta[:, None] * previous
        v, alpha = unit(orthogonal(v, basis) if tall else v, scale)
        scale = jnp.maximum(scale, alpha)
        basis = basis.at[:, i].set(v if tall else u)
        u = product(v) - alpha[:, None] * u
        u, beta = unit(u if tall else orthogonal(u, basis), scale)
        return (basis, u, beta, v, jnp.maximum(scale, beta)), (alpha, beta)

    norm = jnp.linalg.norm(y, axis=1)
    zero = jnp.zeros(k, y.dtype)
    basis = jnp.zeros((k, order, min(n, d)), y.dtype)
    start = (
        basis,
        y / jnp.where(norm == 0, 1, norm)[:, None],
        zero,
        jnp.zeros((k, d), y.dtype),
        zero,
    )
    _, (alphas, betas) = jax.lax.scan(step, start, jnp.arange(order))
    return _Bidiagonal(alphas, jnp.concatenate([norm[None], betas]), max(n, d), n)


def _finish(bidiagonal: _Bidiagonal) -> Quadrature:
    alpha = bidiagonal.alpha
    beta = bidiagonal.beta
    size = bidiagonal.size
    order, k = alpha.shape
    # L with the row of its coupling below, and a column of zeros that makes it square: its kernel
    # is the node at 0.
    square = jax.vmap(lambda a, b: jnp.diag(jnp.append(a, 0)) + jnp.diag(b, -1))(
        alpha.T, beta[1:].T
    )  # (k, m + 1, m + 1)
    left, sigma, _ = jax.vmap(svd)(square)
    noise = order * jnp.finfo(sigma.dtype).eps * sigma[:, :1]
    sigma = jnp.where(sigma <= noise, 0, sigma)  # (k, m + 1)
    total = beta[0] ** 2
    energy = total[:, None] * left[:, 0, :] ** 2
    apart = (energy[:, :, None] * jnp.eye(k, dtype=energy.dtype)[:, None, :]).reshape(-1, k)
    descending = jnp.argsort(-sigma.ravel())
    rounding = jnp.asarray(
        jnp.finfo(alpha.dtype).eps * (8 + size**0.5 / 8), alpha.dtype
    )  # sums of size terms, in lanes
    spectrum = Spectrum(
        singular_values=sigma.ravel()[descending],
        energy=apart[descending],
        total=total,
        num_samples=jnp.asarray(bidiagonal.rows, jnp.int32),
        rank=jnp.asarray(-1, jnp.int32),
        route=jnp.asarray(ROUTE_NAMES.index("quadrature"), jnp.int32),
        dtype=sigma.dtype.name,
    )
    return Quadrature(spectrum, alpha, beta[1:], rounding)


@jax.jit
def _bounds(quadrature: Quadrature, tau: Array) -> tuple[Array, Array]:
    def solve(alpha, beta, rounding, total, tau):
        out = total.dtype
        alpha, beta, rounding, total, tau = (
            x.astype(jnp.float64) for x in (alpha, beta, rounding, total, tau)
        )
        before = jnp.pad(beta[:-1], ((1, 0), (0, 0)))
        diagonal, coupling = alpha**2 + before**2, alpha * beta  # of LLᵀ
        norm = jnp.max(jnp.sqrt(diagonal + beta**2), axis=0)  # (k,) of rows of L: at most σ_1
        apart = jnp.sqrt(rounding)

        def shares(shifted):
            return _shares(diagonal, coupling, jnp.maximum(shifted, 0) ** 2)

        below, _ = shares(tau[:, None] + 2 * apart * norm)
        _, above = shares(tau[:, None] - 2 * apart * norm)
        slack = 4 * float(jnp.finfo(out).eps)
        lower = (jnp.maximum(jnp.sqrt(below) - apart, 0) ** 2 - slack) * total
        upper = ((jnp.sqrt(above) + apart) ** 2 + slack) * total
        most = total * (1 + 2 * rounding)
        lower = jnp.where(tau[:, None] <= 0, total, jnp.maximum(lower, 0))
        upper = jnp.where(tau[:, None] <= 0, total, jnp.minimum(upper, most))
        return lower.astype(out), upper.astype(out)

    arguments = (
        quadrature.diagonal,
        quadrature.subdiagonal,
        quadrature.rounding,
        quadrature.spectrum.total,
        tau,
    )
    return float64_inside(solve)(*arguments)


def _shares(diagonal: Array, coupling: Array, z: Array) -> tuple[Array, Array]:
    """(t, k) shares of ‖y‖² above z (t, k), and at or above it."""
    return jax.vmap(jax.vmap(_radau, (1, 1, 0)), (None, None, 0))(diagonal, coupling, z)


def _radau(diagonal: Array, coupling: Array, z: Array) -> tuple[Array, Array]:
    """Shares of the measure strictly above z, and at or above z, by the rule with a node at z."""
    eps = jnp.finfo(diagonal.dtype).eps
    scale = jnp.max(jnp.abs(diagonal)) + 2 * jnp.max(jnp.abs(coupling))
    tiny = eps * scale + jnp.finfo(diagonal.dtype).tiny

    def pivot(previous, row):
        entry, squared = row
        now = entry - z - squared / previous
        return jnp.where(jnp.abs(now) < tiny, jnp.where(now < 0, -tiny, tiny), now), None

    squares = jnp.concatenate([jnp.zeros(1), coupling[:-1] ** 2])
    last, _ = jax.lax.scan(pivot, jnp.ones(()), (diagonal, squares))
    extended = jnp.diag(jnp.append(diagonal, z + coupling[-1] ** 2 / last))
    extended = extended + jnp.diag(coupling, 1) + jnp.diag(coupling, -1)
    vectors, nodes = eigh(extended)
    weights = vectors[0] ** 2
    # A node that rounding does not tell from z counts where it keeps the bound a bound; NaN counts,
    # and stays.
    margin = 32 * eps * jnp.maximum(scale, z)
    return jnp.sum(jnp.where(nodes <= z + margin, 0, weights)), jnp.sum(
        jnp.where(nodes < z - margin, 0, weights)
    )


def _require_order(order: int, n: int, d: int) -> None:
    if not 1 <= order <= min(n, d):
        raise ValueError(f"order must be from 1 to min(n, d) = {min(n, d)}, found {order}")
