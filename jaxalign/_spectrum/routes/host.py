"""What CPUs are best at, for arrays in the host's memory: BLAS does half of a symmetric product,
XLA's CPU kernel all of it.
"""

import numpy as np
from scipy.linalg import solve_triangular

from jaxalign._core import lapack
from jaxalign._spectrum.routes import moments, refined

ROUTES = ("moments", "refined")

_BLOCK = 1024
# a product of rows is hardly slower for an eighth more columns, and quicker than another product
_FEW = 8


def products(
    features: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray | None = None,
    basis: tuple | None = None,
) -> np.ndarray:
    """The ``products`` of Moments in float64, of features as (Φ − center)·directions where a basis
    is given.

    Rows are turned into float64 in blocks that stay in cache. Of ΦᵀΦ only the upper triangle is
    there, the rest is 0.

    Raises:
      OverflowError: squares exceed float64.
    """
    (n, d), k = features.shape, targets.shape[1]
    squared = d + 1 + k if k * _FEW <= d else d + 1  # columns of the symmetric product
    total, squares = np.zeros((d + 1 + k, d + 1 + k)), np.zeros(k)
    rows = np.empty((min(n, _BLOCK), d + 1 + k))
    with np.errstate(over="ignore", invalid="ignore"):  # seen in the result
        for start in range(0, n, _BLOCK):
            here = slice(start, start + _BLOCK)
            block = rows[: len(features[here])]
            if basis is None:
                block[:, :d] = features[here]
            else:
                center, directions = basis
                np.matmul(features[here] - center, directions, out=block[:, :d])
            block[:, d] = 1
            block[:, d + 1 :] = targets[here]
            if weights is not None:
                block *= np.sqrt(weights[here, None], dtype=np.float64)
            lapack.add_products(block[:, :squared], total[:squared, :squared])
            if squared == d + 1:
                total[: d + 1, d + 1 :] += block[:, : d + 1].T @ block[:, d + 1 :]
            squares += np.sum(block[:, d + 1 :] ** 2, axis=0)
    total[d + 1 :] = 0
    made = np.vstack([total[: d + 1], np.pad(squares, (d + 1, 0))])
    if not np.isfinite(made).all():
        raise OverflowError(
            "moments are infinite: the squares of features or targets exceed float64; scale them down"
        )
    return made


def decompose(
    features: np.ndarray, targets: np.ndarray, route: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(σ, UᵀY, ‖Y‖²) of Φ = U diag(σ) Vᵀ in float64, by a route of ``ROUTES``; σ is NaN where
    LAPACK gives up.

    Wide Φ is turned: U is then what the products find, and turns the targets themselves.
    """
    wide = len(features) < features.shape[1]
    rows, beside = (features.T, np.empty((features.shape[1], 0))) if wide else (features, targets)
    d = rows.shape[1]
    first = products(rows, beside)
    gram, goal, total = first[:d, :d], first[:d, d + 1 :], first[-1, d + 1 :]
    if wide:
        goal = targets.astype(np.float64)
        total = np.sum(goal**2, axis=0)
    if route == "moments":
        values, along = lapack.eigen(gram, goal)
        sigma, along = np.sqrt(np.maximum(values[::-1], 0)), along[::-1]
        return sigma, along if wide else moments.over(along.T, sigma).T, total
    values, right = np.linalg.eigh(gram, UPLO="U")
    right, scale = right[:, ::-1], refined.lifted(np.sqrt(np.maximum(values[::-1], 0)))
    second = products(rows, beside, basis=(0, right / scale))
    upper = np.linalg.cholesky(refined.definite(second[:d, :d]), upper=True)
    if wide:
        return *lapack.singular((upper * scale).T, right.T @ goal), total
    return *lapack.singular(
        upper * scale, solve_triangular(upper, second[:d, d + 1 :], trans=1)
    ), total
