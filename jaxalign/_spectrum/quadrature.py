"""The curve without an SVD: Golub–Kahan steps from y give a few nodes in place of all singular
values, and sharp bounds.
"""

from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.axes import on_automatic_axes
from jaxalign._core.checks import (
    as_matrices,
    as_target_matrix,
    as_target_numbers,
    require_finite,
)
from jaxalign._core.derivatives import without_derivative
from jaxalign._core.float64 import exactly, float64_inside
from jaxalign._core.kinds import as_count, require_choice
from jaxalign._core.linalg import matmul, svd
from jaxalign._core.platform import on_platform
from jaxalign._spectrum.bidiagonal import Bidiagonal, Product, bidiagonalize
from jaxalign._spectrum.finish import finished, sizes_of
from jaxalign._spectrum.routes.table import refuse_float64
from jaxalign._spectrum.types import ROUTE_NAMES, Spectrum
from jaxalign._spectrum.user_products import as_called_outside, compared, width_of


class Quadrature(NamedTuple):
    """What m Golub–Kahan steps from each target say about Φ. A pytree. Curve, area and
    ``predicted_convergence`` take its ``spectrum``; measures that count directions refuse it.

    Attributes:
      spectrum: m + 1 nodes for each of k targets, all together in descending order, r = (m + 1)·k.
        One node of each target is 0 and holds the part of y that no product sees. A target has
        energy at its own nodes only. Σσ^{2p}·energy = yᵀ(ΦΦᵀ)^p y for p ≤ 2m, up to rounding. The
        area is at most that of Φ.
      diagonal: (m, k) of the lower bidiagonal L, which is Φ in the bases of the steps; LLᵀ is the
        Lanczos matrix of ΦΦᵀ started at y.
      subdiagonal: (m, k) of L; its last row couples L to the rest of the space.
      rounding: () by how much arithmetic may have changed Φ, relative to its norm.
    """

    spectrum: Spectrum
    diagonal: Float[Array, "*batch m k"]
    subdiagonal: Float[Array, "*batch m k"]
    rounding: Float[Array, "*batch"]


def quadrature(
    features: ArrayLike | tuple[Product, Product],
    targets: ArrayLike,
    *,
    order: int = 16,
    dtype: Literal["float64", "float32"] | None = None,
) -> Quadrature:
    """Gauss–Radau quadrature of the spectral measure Σ_i (u_iᵀy)² δ(σ_i²) from ``order`` products
    with Φ and with Φᵀ.

    Golub–Kahan bidiagonalization started at y, with a node at 0, where most of y lies unless Φ is
    aligned with it: the area is right to 1 % where the nodes of Gauss's rule miss it by 20 %. Where
    y lies in a small invariant subspace, the recurrence ends early and the result is exact.

    Args:
      features: (n, d) Φ; or a pair of products, v (d, k) ↦ Φv (n, k) and u (n, k) ↦ Φᵀu (d, k), in
        the targets' dtype. An eager call runs them as they are, 2·order times; inside jit they are
        part of the program.
      targets: (n, k) Y; (n,) floats count as one column.
      order: m, from 1 to min(n, d).
      dtype: in which steps on an array are computed; by default float64, and float32 on a TPU,
        which has no float64. "float32" takes half the time; its nodes and weights have errors of
        1e-6, and the certified bounds widen by 1e-3 of ‖y‖² and of σ_1. Not with products.

    Returns:
      Quadrature; ``quadrature_bounds`` gives certified bounds of the curve.

    Raises:
      ValueError: as ``spectrum``; order out of range; another dtype; on a TPU "float64", or
        features of it; products whose shapes do not fit each other, that are not of one matrix and
        its transpose (eager calls), or with a dtype.
      TypeError: when differentiated; products that give no array of real floats.

    Example:
      >>> import jaxalign as ja
      >>> q = ja.quadrature([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [2.0, 1.0, 0.0], order=2)
      >>> q.spectrum.singular_values.round().tolist(), q.spectrum.energy.ravel().round().tolist()
      ([3.0, 1.0, 0.0], [4.0, 1.0, 0.0])

    Source: ours, on Golub, Kahan (1965), Golub (1973), Simon, Zha (2000) and Golub, Meurant (2010).
    """
    if dtype is not None:
        require_choice(dtype, ("float64", "float32"), "dtype")
    order = as_count(order, "order")
    if isinstance(features, tuple) and len(features) == 2 and all(map(callable, features)):
        if dtype is not None:
            raise ValueError(
                f"dtype goes with features that are an array, found {dtype!r} with products, "
                "which are computed in the targets' dtype; pass targets of that dtype"
            )
        return _matrix_free(*features, targets, order)
    phi = as_numbers(cast(ArrayLike, features), "features")
    y = as_target_numbers(targets, [phi])
    result = exactly(partial(_of_arrays, order, dtype), phi, y)
    return result._replace(spectrum=finished(result.spectrum, partial(sizes_of, phi, y)))


def _of_arrays(
    order: int, dtype: str | None, features: Array | np.ndarray, targets: Array | np.ndarray
) -> Quadrature:
    phi, y = as_matrices(features, targets)
    _require_order(order, *phi.shape)
    return _of_matrix(phi, y, order, dtype)


NO_DERIVATIVE = "quadrature has no derivative; differentiate spectrum(features, targets) instead"


@partial(without_derivative, reason=NO_DERIVATIVE, static=(2, 3))
@partial(jax.jit, static_argnums=(2, 3))
def _of_matrix(
    features: Float[Array, "n d"], targets: Float[Array, "n k"], order: int, dtype: str | None
) -> Quadrature:
    in_float32 = partial(_steps, order, "float32")
    in_float64 = float64_inside(partial(_steps, order, "float64"))
    if dtype == "float32":
        return in_float32(features, targets)
    if dtype == "float64":
        return on_platform(in_float64, _refuse_float64, features, targets)
    if features.dtype == jnp.float64:
        return on_platform(in_float64, refuse_float64, features, targets)

    def on_tpu(features: Array, targets: Array) -> Quadrature:
        result = in_float32(features, targets)
        # In the dtypes of the other platforms.
        return Quadrature(result.spectrum, *(x.astype(jnp.float64) for x in result[1:]))

    return on_platform(in_float64, on_tpu, features, targets)


@jax.named_scope("jaxalign quadrature")
def _steps(
    order: int, dtype: str, features: Float[Array, "n d"], targets: Float[Array, "n k"]
) -> Quadrature:
    phi = features.astype(dtype)
    y = targets.astype(dtype)
    bidiagonal = bidiagonalize(
        lambda v: matmul(v, phi.T), lambda u: matmul(u, phi), y.T, phi.shape[1], order
    )
    result = of_bidiagonal(bidiagonal)
    # Only the spectrum is rounded: bounds are certified with L as it is.
    return result._replace(spectrum=_rounded(result.spectrum, features.dtype))


def _refuse_float64(*arrays: Array) -> Quadrature:
    raise ValueError(
        "dtype must be 'float32' on a TPU, which has no float64, found 'float64'; leave it out"
    )


def _rounded(spectrum: Spectrum, dtype: jnp.dtype) -> Spectrum:
    return replace(
        spectrum,
        singular_values=spectrum.singular_values.astype(dtype),
        energy=spectrum.energy.astype(dtype),
        total=spectrum.total.astype(dtype),
        dtype=dtype.name,
    )


def _matrix_free(
    product: Product, transposed: Product, targets: ArrayLike, order: int
) -> Quadrature:
    y = as_target_matrix(targets)
    require_finite(y, "targets")
    d = width_of(product, transposed, y)
    _require_order(order, len(y), d)
    product, transposed = compared(*as_called_outside(product, transposed, y))

    def run(y: Array) -> Quadrature:
        # Vectors are columns for the caller's products, rows in the recurrence.
        bidiagonal = bidiagonalize(
            lambda v: product(v.T).T, lambda u: transposed(u.T).T, y.T, d, order
        )
        return of_bidiagonal(bidiagonal)

    return on_automatic_axes(without_derivative(run, NO_DERIVATIVE), y)


@jax.jit
def of_bidiagonal(bidiagonal: Bidiagonal) -> Quadrature:
    """Nodes and weights: singular values of L with a node at 0, ‖y‖² times the squares of the first
    components of its left singular vectors.
    """
    order, k = bidiagonal.alpha.shape
    eps = jnp.finfo(bidiagonal.alpha.dtype).eps
    left, sigma, _ = jax.vmap(svd)(jax.vmap(_square, (1, 1))(bidiagonal.alpha, bidiagonal.beta[1:]))
    sigma = jnp.where(sigma <= order * eps * sigma[:, :1], 0, sigma)  # (k, m + 1)
    total = bidiagonal.beta[0] ** 2
    energy = total[:, None] * left[:, 0, :] ** 2

    # The nodes of all targets in one list: a target has no energy at those of another.
    own = jnp.eye(k, dtype=energy.dtype)[:, None, :]
    energy = (energy[:, :, None] * own).reshape(-1, k)
    descending = jnp.argsort(-sigma.ravel())
    spectrum = Spectrum(
        singular_values=sigma.ravel()[descending],
        energy=energy[descending],
        total=total,
        num_samples=jnp.asarray(bidiagonal.rows, jnp.int32),
        rank=jnp.asarray(-1, jnp.int32),
        route=jnp.asarray(ROUTE_NAMES.index("quadrature"), jnp.int32),
        dtype=sigma.dtype.name,
    )
    # Errors of sums of `size` terms, which are added in vector lanes.
    rounding = jnp.asarray(eps * (8 + bidiagonal.size**0.5 / 8), eps.dtype)
    return Quadrature(spectrum, bidiagonal.alpha, bidiagonal.beta[1:], rounding)


def _square(alpha: Float[Array, " m"], beta: Float[Array, " m"]) -> Float[Array, "s s"]:
    """L with the row of its coupling below and a column of zeros, whose singular value 0 is the
    node there; s = m + 1.
    """
    return jnp.diag(jnp.append(alpha, 0)) + jnp.diag(beta, -1)


def _require_order(order: int, n: int, d: int) -> None:
    if order > min(n, d):
        raise ValueError(f"order must be from 1 to min(n, d) = {min(n, d)}, found {order}")
