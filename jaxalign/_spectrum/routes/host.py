"""Eager calls on a CPU leave XLA out: BLAS computes half of a symmetric product, where XLA's CPU
kernel computes all of it.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from jaxalign._core import lapack
from jaxalign._spectrum.routes import moments, refined

ROUTES = ("moments", "refined")

# Rows that are turned into float64 at once, and stay in cache.
_BLOCK = 1024
# A product of rows is hardly slower for an eighth more columns, and faster than a second product.
_FEW = 8


class Coordinates(NamedTuple):
    """What rows are read in: (φ − center)·directions and y − target_center, each None for as is."""

    center: np.ndarray | None = None
    directions: np.ndarray | None = None
    target_center: np.ndarray | None = None


_AS_THEY_ARE = Coordinates()


class Found(NamedTuple):
    """A decomposition in float64, as far as a label spectrum needs it."""

    singular_values: np.ndarray  # (r,) σ, NaN where LAPACK gives up
    coordinates: np.ndarray  # (r, k) UᵀY
    total: np.ndarray  # (k,) ‖y‖²


def products(
    features: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray | None = None,
    coordinates: Coordinates = _AS_THEY_ARE,
) -> np.ndarray:
    """Σ w (φ, 1)(φ, 1, y)ᵀ and, in a last row, Σ w y²: (d + 2, d + 1 + k) in float64.

    Of ΦᵀΦ only the upper triangle is there, the rest is 0.

    Raises:
      OverflowError: squares exceed float64.
    """
    n, d = features.shape
    k = targets.shape[1]
    few_targets = k * _FEW <= d
    squared = d + 1 + k if few_targets else d + 1  # columns of the symmetric product
    total = np.zeros((d + 1 + k, d + 1 + k))
    squares = np.zeros(k)
    buffer = np.empty((min(n, _BLOCK), d + 1 + k))
    with np.errstate(over="ignore", invalid="ignore"):  # infinities are found in the result
        for start in range(0, n, _BLOCK):
            here = slice(start, start + _BLOCK)
            block = buffer[: len(features[here])]
            _read_features(features[here], coordinates, block[:, :d])
            block[:, d] = 1
            _shift(targets[here], coordinates.target_center, block[:, d + 1 :])
            if weights is not None:
                block *= np.sqrt(weights[here, None], dtype=np.float64)
            lapack.add_products(block[:, :squared], total[:squared, :squared])
            if not few_targets:
                total[: d + 1, d + 1 :] += block[:, : d + 1].T @ block[:, d + 1 :]
            squares += np.sum(block[:, d + 1 :] ** 2, axis=0)
    result = np.vstack([total[: d + 1], np.pad(squares, (d + 1, 0))])
    if not np.isfinite(result).all():
        raise OverflowError(
            "moments are infinite: the squares of features or targets exceed float64; "
            "scale them down"
        )
    return result


def _read_features(rows: np.ndarray, coordinates: Coordinates, out: np.ndarray) -> None:
    if coordinates.directions is None:
        _shift(rows, coordinates.center, out)
        return
    shifted = rows if coordinates.center is None else rows - coordinates.center
    np.matmul(shifted, coordinates.directions, out=out)


def _shift(rows: np.ndarray, center: np.ndarray | None, out: np.ndarray) -> None:
    if center is None:
        out[:] = rows
    else:
        np.subtract(rows, center, out=out)


def decompose(
    features: np.ndarray, targets: np.ndarray, route: str, *, centered: bool = False
) -> Found:
    """Φ = U diag(σ) Vᵀ by a route of ``ROUTES``; about the mean of each column if ``centered``."""
    center = features.mean(axis=0, dtype=np.float64) if centered else None
    target_center = targets.mean(axis=0, dtype=np.float64) if centered else None
    if len(features) < features.shape[1]:
        wide = features if center is None else features - center
        goal = np.empty(targets.shape)
        _shift(targets, target_center, goal)
        return _of_wide(wide, goal, route)
    return _of_tall(features, targets, route, Coordinates(center, None, target_center))


def _of_tall(
    features: np.ndarray, targets: np.ndarray, route: str, coordinates: Coordinates
) -> Found:
    d = features.shape[1]
    first = products(features, targets, None, coordinates)
    gram, cross, total = first[:d, :d], first[:d, d + 1 :], first[-1, d + 1 :]
    if route == "moments":
        # ΦᵀΦ = V diag(σ²) Vᵀ and UᵀY = diag(1/σ) Vᵀ(ΦᵀY).
        values, along = lapack.eigen(gram, cross)
        sigma = np.sqrt(np.maximum(values[::-1], 0))
        return Found(sigma, moments.over(along[::-1].T, sigma).T, total)
    right, scale = _preconditioner(gram)
    second = products(features, targets, None, coordinates._replace(directions=right / scale))
    # WᵀW = RᵀR of W = ΦV diag(1/s), so Φ has the singular values of R diag(s), and QᵀY = R⁻ᵀWᵀY.
    upper = np.linalg.cholesky(refined.definite(second[:d, :d]), upper=True)
    along = solve_triangular(upper, second[:d, d + 1 :], trans=1)
    return Found(*lapack.singular(upper * scale, along), total)


def _of_wide(features: np.ndarray, targets: np.ndarray, route: str) -> Found:
    """Φᵀ takes the place of Φ: its right singular vectors U are found, and applied to Y."""
    turned = features.T
    nothing = np.empty((len(turned), 0))
    n = turned.shape[1]
    total = np.sum(targets**2, axis=0)
    gram = products(turned, nothing)[:n, :n]
    if route == "moments":
        values, along = lapack.eigen(gram, targets)
        return Found(np.sqrt(np.maximum(values[::-1], 0)), along[::-1], total)
    right, scale = _preconditioner(gram)
    second = products(turned, nothing, None, Coordinates(directions=right / scale))
    upper = np.linalg.cholesky(refined.definite(second[:n, :n]), upper=True)
    return Found(*lapack.singular((upper * scale).T, right.T @ targets), total)


def _preconditioner(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, s) of the first pass, as ``refined.preconditioner`` has them."""
    values, right = np.linalg.eigh(gram, UPLO="U")
    return right[:, ::-1], refined.lifted(np.sqrt(np.maximum(values[::-1], 0)))
