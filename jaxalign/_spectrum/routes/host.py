"""Eager calls on a CPU by BLAS and LAPACK: BLAS computes half of a symmetric product, XLA's CPU
kernel all of it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_triangular

from jaxalign._core import lapack
from jaxalign._core.checks import power_of_ten
from jaxalign._core.linalg import centred
from jaxalign._spectrum.routes import moments, refined

ROUTES = ("moments", "refined")

_TINY = float(np.finfo(np.float64).tiny)
# Rows that are turned into float64 at once, and stay in cache.
_BLOCK = 1024
# A product of rows is hardly slower for an eighth more columns, and faster than a second product.
_FEW = 8


class Coordinates(NamedTuple):
    """Rows are read as (φ − center)·directions and y − target_center; None leaves a step out."""

    center: Float[np.ndarray, " d"] | None = None
    directions: Float[np.ndarray, "d d"] | None = None
    target_center: Float[np.ndarray, " k"] | None = None


_AS_THEY_ARE = Coordinates()


class Solution(NamedTuple):
    """A decomposition in float64, as far as a label spectrum needs it."""

    singular_values: Float[np.ndarray, " r"]  # σ, NaN where LAPACK does not converge
    coordinates: Float[np.ndarray, "r k"]  # UᵀY
    total: Float[np.ndarray, " k"]  # ‖y‖²


def products(
    features: Float[np.ndarray, "n d"],
    targets: Float[np.ndarray, "n k"],
    weights: np.ndarray | None = None,
    coordinates: Coordinates = _AS_THEY_ARE,
) -> Float[np.ndarray, "d+2 d+1+k"]:
    """Σ w (φ, 1)(φ, 1, y)ᵀ and, in a last row, Σ w y², in float64.

    Of ΦᵀΦ only the upper triangle is computed, the rest is 0.

    Raises:
      ValueError: squares exceed float64, or are so small that it takes them for 0.
    """
    n, d = features.shape
    k = targets.shape[1]
    few_targets = k * _FEW <= d
    squared = d + 1 + k if few_targets else d + 1  # columns of the symmetric product
    total = np.zeros((d + 1 + k, d + 1 + k))
    squares = np.zeros(k)
    buffer = np.empty((min(n, _BLOCK), d + 1 + k))
    # Infinities are looked for in the result.
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, n, _BLOCK):
            here = slice(start, start + _BLOCK)
            block = buffer[: len(features[here])]
            _read_features(features[here], coordinates, block[:, :d])
            block[:, d] = 1
            _shift(targets[here], coordinates.target_center, block[:, d + 1 :])
            if weights is not None:
                # Σ w xxᵀ is the product of rows √w x.
                block *= np.sqrt(weights[here, None], dtype=np.float64)
            lapack.add_products(block[:, :squared], total[:squared, :squared])
            if not few_targets:
                total[: d + 1, d + 1 :] += block[:, : d + 1].T @ block[:, d + 1 :]
            squares += np.sum(block[:, d + 1 :] ** 2, axis=0)
    result = np.zeros((d + 2, d + 1 + k))
    result[:-1] = total[: d + 1]
    result[-1, d + 1 :] = squares
    _require_squares(features, targets, result)
    return result


def _require_squares(features: np.ndarray, targets: np.ndarray, sums: np.ndarray) -> None:
    """Raise where float64 does not hold the squares in ``products``."""
    if not np.isfinite(sums).all():
        sizes = {"features": _largest(features), "targets": _largest(targets)}
        name = max(sizes, key=sizes.__getitem__)
        _raise_for_squares(name, sizes[name])
    d = features.shape[1]
    # Sums about a mean may be 0 of numbers of any size.
    if sums.diagonal()[:d].max() < _TINY and 0 < _largest(features) < _TINY**0.5:
        _raise_for_squares("features", _largest(features))
    for column in (sums[-1, d + 1 :] < _TINY).nonzero()[0]:
        if 0 < _largest(targets[:, column]) < _TINY**0.5:
            _raise_for_squares("targets", _largest(targets[:, column]))


def _raise_for_squares(name: str, size: float) -> None:
    raise ValueError(
        f"{name} must have squares within float64, found {name} up to {size:.1e}; "
        f"divide {name} by {power_of_ten(size):.0e}"
    )


def _largest(x: np.ndarray) -> float:
    return float(np.max(np.abs(x), initial=0))


def _read_features(rows: np.ndarray, coordinates: Coordinates, out: np.ndarray) -> None:
    if coordinates.directions is None:
        _shift(rows, coordinates.center, out)
        return
    if coordinates.center is not None:
        rows = rows - coordinates.center
    np.matmul(rows, coordinates.directions, out=out)


def _shift(rows: np.ndarray, center: np.ndarray | None, out: np.ndarray) -> None:
    if center is None:
        out[:] = rows
    else:
        np.subtract(rows, center, out=out)


def decompose(
    features: Float[np.ndarray, "n d"],
    targets: Float[np.ndarray, "n k"],
    route: str,
    *,
    centered: bool = False,
) -> Solution:
    """Φ = U diag(σ) Vᵀ by a route of ``ROUTES``; about the mean of each column if ``centered``."""
    coordinates = _AS_THEY_ARE
    if centered:
        coordinates = Coordinates(_mean(features), None, _mean(targets))
    if len(features) >= features.shape[1]:
        return _of_tall(features, targets, route, coordinates)
    goal = targets.astype(np.float64)
    if centered:
        features, goal = centred(features.astype(np.float64)), centred(goal)
    return _of_wide(features, goal, route)


def _mean(x: Float[np.ndarray, "n w"]) -> Float[np.ndarray, " w"]:
    """The mean in float64, of a constant column exactly its value."""
    is_constant = (x == x[0]).all(axis=0)
    return np.where(is_constant, x[0], x.mean(axis=0, dtype=np.float64))


def _products_about_mean(
    features: Float[np.ndarray, "n d"],
    targets: Float[np.ndarray, "n k"],
    coordinates: Coordinates,
) -> tuple[Float[np.ndarray, "d+2 d+1+k"], Float[np.ndarray, " d"]]:
    """``products`` about the mean, where ``coordinates`` have a center: that is off by its
    rounding, and what is left of the mean is in the sums. Beside them Σ φ² before it was taken out.
    """
    sums = products(features, targets, None, coordinates)
    d = features.shape[1]
    squares = np.diagonal(sums)[:d].copy()
    if coordinates.center is not None:
        # Σ (φ, 1, y); of the symmetric part there is the upper triangle.
        ones = np.concatenate([sums[:d, d], sums[d, d:]])
        sums[:d] -= np.outer(ones[:d], ones) / len(features)
        sums[-1, d + 1 :] -= ones[d + 1 :] ** 2 / len(features)
    return sums, squares


def _of_tall(
    features: np.ndarray, targets: np.ndarray, route: str, coordinates: Coordinates
) -> Solution:
    d = features.shape[1]
    first, _ = _products_about_mean(features, targets, coordinates)
    gram = first[:d, :d]
    cross = first[:d, d + 1 :]
    total = first[-1, d + 1 :]
    if route == "moments":
        # ΦᵀΦ = V diag(σ²) Vᵀ and UᵀY = diag(1/σ) Vᵀ(ΦᵀY).
        values, along = lapack.eigen(gram, cross)
        sigma = np.sqrt(np.maximum(values[::-1], 0))
        return Solution(sigma, moments.over(along[::-1].T, sigma).T, total)
    right, scale = _preconditioner(gram)
    in_directions = coordinates._replace(directions=right / scale)
    second, squares = _products_about_mean(features, targets, in_directions)
    # WᵀW = RᵀR of W = ΦV diag(1/s), so Φ has the singular values of R diag(s), and QᵀY = R⁻ᵀWᵀY.
    gram = second[:d, :d]
    upper = np.linalg.cholesky(refined.definite(gram, squares), upper=True)
    along = solve_triangular(upper, second[:d, d + 1 :], trans=1)
    return Solution(*lapack.singular(upper * refined.nonzero(scale, gram), along), total)


def _of_wide(features: np.ndarray, targets: np.ndarray, route: str) -> Solution:
    """Φᵀ takes the place of Φ: its right singular vectors are U, which is applied to Y."""
    transposed = features.T
    nothing = np.empty((len(transposed), 0))
    n = transposed.shape[1]
    with np.errstate(over="ignore"):  # ``finished`` looks for infinities
        total = np.sum(targets**2, axis=0)
    gram = products(transposed, nothing)[:n, :n]
    if route == "moments":
        # ΦΦᵀ = U diag(σ²) Uᵀ.
        values, along = lapack.eigen(gram, targets)
        return Solution(np.sqrt(np.maximum(values[::-1], 0)), along[::-1], total)
    right, scale = _preconditioner(gram)
    second = products(transposed, nothing, None, Coordinates(directions=right / scale))
    # Φᵀ = QR diag(s) Vᵀ as above, so Φ = V (R diag(s))ᵀQᵀ: with U' of (R diag(s))ᵀ, UᵀY = U'ᵀVᵀY.
    gram = second[:n, :n]
    upper = np.linalg.cholesky(refined.definite(gram, np.diagonal(gram)), upper=True)
    scale = refined.nonzero(scale, gram)
    return Solution(*lapack.singular((upper * scale).T, right.T @ targets), total)


def _preconditioner(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, s) of the first pass, as by ``refined.preconditioner``."""
    values, right = np.linalg.eigh(gram, UPLO="U")
    return right[:, ::-1], refined.lifted(np.sqrt(np.maximum(values[::-1], 0)))
