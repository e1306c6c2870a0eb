"""``spectrum``: the label spectrum of arrays, of Moments and of triangles."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.checks import as_matrices_of_numbers
from jaxalign._core.float64 import exactly, float64_inside
from jaxalign._core.kinds import require_flag
from jaxalign._core.linalg import matmul, svd
from jaxalign._core.platform import on_platform
from jaxalign._spectrum import split_moments
from jaxalign._spectrum.finish import finished, solved
from jaxalign._spectrum.moments import Basis, Moments, sizes_of_moments
from jaxalign._spectrum.routes import refined
from jaxalign._spectrum.routes.moments import over, singular_vectors
from jaxalign._spectrum.routes.table import Method, refuse_float64, route_for, significant
from jaxalign._spectrum.solve import label_spectrum, solve
from jaxalign._spectrum.spread import require_digits_about_mean
from jaxalign._spectrum.triangle import Triangle, num_samples_of, sizes_of_triangle
from jaxalign._spectrum.types import Spectrum


def spectrum(
    features: ArrayLike | Moments | Triangle,
    targets: ArrayLike | None = None,
    *,
    method: Method = "auto",
    centered: bool = False,
    basis: Basis | None = None,
) -> Spectrum:
    """The label spectrum σ_i, (u_iᵀ y_j)², ‖y_j‖² of Φ = U diag(σ) Vᵀ and Y.

    Computed in float64 whatever the dtype outside and the global x64 flag, and rounded once, to
    float32 unless x64 is on and the features are float64. Works under jit, vmap, grad, scan and
    shard_map. Gradients are right also at repeated singular values and for rank-deficient Φ, for
    every function of the spectral measure (areas, curves) and for sums over σ_i. Where one measure
    mixes both, as ``gcv``, ``learning_curve`` and ``log_me`` do, they are right where the singular
    values above the rank tolerance differ. There is reverse mode only, and only once.

    Args:
      features: (n, d) Φ of any real dtype and container; tall or wide. The digits of float64 and of
        large integers count in eager calls, also where x64 is off. ``prepare`` makes it from
        activations. Or Moments or a Triangle, alone.
      targets: (n, k) Y; (n,) floats count as one column. ``encode_targets`` makes it from labels.
      method: "moments": eigenvectors of ΦᵀΦ (ΦΦᵀ when wide); directions with σ below 6e-8·σ_1 are
        treated as zero. "refined": a second pass over Φ in their coordinates, with the accuracy of
        a float64 SVD. "triangular": from R of [Φ Y] = QR in the features' dtype, with the accuracy
        of an SVD in that dtype. "svd": the plain SVD in float64, slowest. "split": for float32
        features, exact products of integers and float32 eigensolvers: the accuracy of float64
        where there is none, or slow; on a CPU it takes many times as long. "auto": "moments" for
        float32 features, "triangular" for float64 ones. On a TPU "auto", "moments" and "refined"
        are "split", "triangular" and "svd" compute in float32, and float64 features are refused.
        The platform is that of the arrays, or the one that a program is lowered for.
      centered: subtract the mean of every column of Φ and Y first, in float64.
      basis: for Moments of a second pass, the basis they were taken in, which also says whether
        they are centred.

    Returns:
      Spectrum of r = min(n, d) singular values; of r = d from Moments and triangles, whose n is
      not a shape.

    Raises:
      ValueError: features or targets empty, not matrices, of different n (says so when features
        look transposed), or not finite (eager calls; traced, NaN in gives NaN out); integer targets
        (n,) or (n, 1); targets missing; σ_1 or ‖y‖² outside the range of the result's dtype (eager
        calls), with the factor to divide by; an unknown method; Moments with targets, with a
        method, or with a basis that is missing or not theirs.
      TypeError: complex features or targets.
      FloatingPointError: the eigensolver failed on finite input (eager calls; traced, the result is
        NaN).

    Example:
      >>> import jaxalign as ja
      >>> s = ja.spectrum([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [[1.0], [1.0], [1.0]])
      >>> s.singular_values.tolist(), s.energy.ravel().tolist(), s.total.tolist()
      ([3.0, 1.0], [1.0, 1.0], [3.0])

    Source: the measure's ingredients are Eq. 1 of Imani, Hu, White (TMLR 2022); routes and
      derivative are ours.
    """
    require_flag(centered, "centered")
    if isinstance(features, Moments | Triangle):
        _require_alone(features, targets, method, centered, basis)
    if isinstance(features, Triangle):
        if centered:
            require_digits_about_mean(features)
        run = partial(_of_factor, features.width, centered)
        return finished(exactly(run, features.factor), partial(sizes_of_triangle, features))
    if isinstance(features, Moments):
        is_centered = centered or (basis is not None and basis.centered)
        if centered and basis is None:
            require_digits_about_mean(features)
        result = _of_moments(features, basis, is_centered, method)
        return finished(result, partial(sizes_of_moments, features))
    if basis is not None:
        raise ValueError(
            "basis is for spectrum(moments, basis=...); for arrays pass method='refined'"
        )
    if targets is None:
        raise ValueError("targets are missing; pass spectrum(features, targets)")
    return solved(partial(_of_arrays, method, centered), features, targets)


def _require_alone(
    sums: Moments | Triangle,
    targets: ArrayLike | None,
    method: str,
    centered: bool,
    basis: Basis | None,
) -> None:
    name = type(sums).__name__
    values = sums.factor if isinstance(sums, Triangle) else sums.products
    if values.ndim != 2:
        raise ValueError(
            f"{name} must be one set of sums, found a batch of shape {values.shape[:-2]}; "
            "merge it by .sum(), or use jax.vmap(spectrum)"
        )
    own_methods = ("triangular",) if isinstance(sums, Triangle) else ("moments", "split")
    if targets is not None or method not in ("auto", *own_methods):
        raise ValueError(f"spectrum({name}) takes no targets and no other method: both are in it")
    is_second_pass = isinstance(sums, Moments) and sums.passes == 2
    if (basis is not None) != is_second_pass:
        count = "none" if basis is None else "one"
        raise ValueError(f"a basis goes with Moments of a second pass, found {count} with a {name}")
    if basis is not None and centered and not basis.centered:
        raise ValueError("the basis is not centred; make it by basis(first, centered=True)")


def _of_arrays(
    method: Method, centered: bool, features: Array | np.ndarray, targets: Array | np.ndarray
) -> Spectrum:
    phi, y = as_matrices_of_numbers(features, targets)
    return solve(phi, y, route_for(method, phi), centered)


@partial(jax.jit, static_argnames=("centered", "method"))
def _of_moments(moments: Moments, basis: Basis | None, centered: bool, method: Method) -> Spectrum:
    width = moments.width
    dtype = jnp.dtype(moments.precision)
    scale = () if basis is None else (basis.scale,)
    split: Callable = partial(_of_sums, "split", width, centered, dtype)
    if method == "split":
        return float64_inside(split)(moments.products, *scale)
    route = "moments" if basis is None else "refined"
    in_float64 = float64_inside(partial(_of_sums, route, width, centered, dtype))
    if dtype == jnp.float64:
        split = refuse_float64
    return on_platform(in_float64, split, moments.products, *scale)


def _of_sums(
    route: str,
    d: int,
    centered: bool,
    dtype: jnp.dtype,
    products: Float[Array, "rows columns"],
    *scale: Float[Array, " d"],
) -> Spectrum:
    ones = products[d]  # Σ w (φ, 1, y)
    total = products[-1, d + 1 :]
    weight = products[d, d]
    squares = jnp.diagonal(products)[:d]
    if centered:
        # Σ w (φ − φ̄)(x − x̄)ᵀ = Σ w φxᵀ − (Σ w φ)(Σ w x)ᵀ/Σ w, for x = φ and x = y.
        products = products[:d] - ones[:d, None] * ones[None, :] / weight
        total = total - ones[d + 1 :] ** 2 / weight
    solve_sums = _OF_SUMS[route]
    sigma, coordinates = solve_sums(products[:d, :d], products[:d, d + 1 :], squares, *scale)
    in_span = significant(sigma, dtype, jnp.maximum(weight, d), route)
    return label_spectrum(
        sigma,
        coordinates,
        in_span,
        total,
        num_samples=jnp.round(weight),
        route=route,
        dtype=dtype,
    )


def _in_float64(gram: Array, cross: Array, squares: Array) -> tuple[Array, Array]:
    # ΦᵀΦ = V diag(σ²) Vᵀ, and UᵀY = diag(1/σ) Vᵀ(ΦᵀY).
    sigma, right = singular_vectors(gram)
    return sigma, over(matmul(cross.T, right), sigma).T


def _of_second_pass(gram: Array, cross: Array, squares: Array, scale: Array) -> tuple[Array, Array]:
    return refined.finish(gram, cross, scale, squares)[:2]


def _split(gram: Array, cross: Array, squares: Array, *scale: Array) -> tuple[Array, Array]:
    for s in scale:
        # Of W = ΦV diag(1/s) back to ΦV, which has the singular values of Φ.
        gram = gram * s[:, None] * s[None, :]
        cross = cross * s[:, None]
    return split_moments.spectrum_of(gram, cross)


_OF_SUMS: dict[str, Callable[..., tuple[Array, Array]]] = {
    "moments": _in_float64,
    "refined": _of_second_pass,
    "split": _split,
}


@partial(jax.jit, static_argnums=(0, 1))
def _of_factor(d: int, centered: bool, factor: Float[Array, "rows columns"]) -> Spectrum:
    usual = partial(_of_triangle, d, centered)
    on_tpu = refuse_float64 if factor.dtype == jnp.float64 else usual
    return on_platform(usual, on_tpu, factor)


def _of_triangle(d: int, centered: bool, factor: Float[Array, "rows columns"]) -> Spectrum:
    # [1 Φ] = QR, and the first column of Q is the ones, normalized: without the first row of R,
    # the rest is about the mean. The last row holds the norms of Y outside the column space, and
    # zeros in the columns of Φ.
    rows = factor[1:] if centered else factor
    left, sigma, _ = svd(rows[:-1, 1 : d + 1])
    coordinates = matmul(left.T, rows[:-1, d + 1 :])
    total = jnp.sum(rows[:, d + 1 :] ** 2, axis=0)
    num_samples = num_samples_of(factor)
    in_span = significant(sigma, factor.dtype, jnp.maximum(num_samples, d), "triangular")
    return label_spectrum(
        sigma,
        coordinates,
        in_span,
        total,
        num_samples=num_samples,
        route="triangular",
        dtype=factor.dtype,
    )
