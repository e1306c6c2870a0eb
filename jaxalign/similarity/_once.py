"""Measures of many pairs on the host: what one representation brings to all of its pairs is
computed once.

In float64, as the programs for one pair are: by numpy, or by parts of those programs.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from jaxalign._core.arrays import as_numbers
from jaxalign._core.clouds import uneven_below
from jaxalign._core.kinds import as_count, as_known_number
from jaxalign._core.known import is_on_host
from jaxalign._core.linalg import centred
from jaxalign._spectrum.routes.table import significant
from jaxalign.similarity._cca import mean_cca, mean_squared_cca, pwcca, svcca
from jaxalign.similarity._chance import mean_squared_cca_chance
from jaxalign.similarity._estimators import cka_of
from jaxalign.similarity._kernel_sums import KernelSums
from jaxalign.similarity._neighbours import (
    cknna,
    cknna_of,
    mutual_knn,
    nearest,
    neighbourhoods,
)
from jaxalign.similarity._pair import precision_of
from jaxalign.similarity._procrustes import (
    angular_procrustes_distance,
    bures_similarity,
    procrustes_distance,
)
from jaxalign.similarity._rbf import over_bandwidth, rbf_cka, rbf_cka_of
from jaxalign.similarity._rsa import ranks_of_distances, rsa, rsa_of_ranks

# Bytes that the kernels of all representations may take, or the ranks of their distances.
_KERNELS = 2 * 2**30
# The settings of `rsa` whose ranks are computed once.
_DISTANCES = {"metric": "sqeuclidean"}
_BY_RANKS = {**_DISTANCES, "compare": "spearman"}


class Once(NamedTuple):
    """A measure in two steps.

    Attributes:
      prepare: of one representation (n, d).
      compare: a number, of what it makes of two.
    """

    prepare: Callable[[np.ndarray], Any]
    compare: Callable[[Any, Any], float | Array]


def once_for(measure: Callable[..., Any], arrays: Sequence[ArrayLike]) -> Once | None:
    """The two steps of a measure of such representations; None where each pair is computed by
    itself: on accelerators, for other measures, and where kernels of all would take too much.
    """
    numbers = [as_numbers(x, "x") for x in arrays]
    if not is_on_host(*numbers) or any(x.ndim != 2 for x in numbers):
        return None
    settings: dict[str, Any] = {}
    function: Any = measure
    if isinstance(measure, partial) and not measure.args:
        function, settings = measure.func, dict(measure.keywords)
    have_room = 8 * len(numbers) * len(numbers[0]) ** 2 <= _KERNELS
    if function in (mutual_knn, cknna):
        k = as_count(settings.get("k", 10), "k")
        if function is mutual_knn:
            return Once(partial(_nearest, k=k), _shared)
        return Once(partial(_neighbourhoods, k=k), _cknna_of)
    if function is rbf_cka:
        estimator = settings.get("estimator", "biased")
        bandwidth = as_known_number(settings.get("bandwidth", 1.0), "bandwidth")
        relative = bool(settings.get("relative", True))
        prepare, compare = (_gaussian, _cka) if have_room else (_scaled, _rbf_cka_of)
        scaled = partial(prepare, bandwidth=bandwidth, relative=relative)
        return Once(scaled, partial(compare, estimator=estimator))
    if function is rsa and have_room and {**_DISTANCES, **settings} == _BY_RANKS:
        return Once(_ranks, _rsa_of)
    if function in _OF_SPACES:
        precision = precision_of(*numbers)
        space = partial(_space, precision=precision, **_settings_of_space(function, settings))
        return Once(space, _OF_SPACES[function])
    if function in _OF_ROTATIONS and not settings:
        return Once(_turned, _OF_ROTATIONS[function])
    return None


def _centred(x: np.ndarray) -> Float[np.ndarray, "n d"]:
    # About a row first, so that a constant becomes exactly 0.
    shifted = np.asarray(x, np.float64)
    shifted = shifted - shifted[:1]
    return shifted - shifted.mean(axis=0)


def _in_float64(function: Callable[..., Any], *settings: str) -> Callable[..., Any]:
    """A part of the program for one pair, compiled, in jax's float64."""
    compiled = jax.jit(function, static_argnames=settings)

    def run(*representations: Any, **values: Any) -> Any:
        with jax.enable_x64(True):
            return compiled(*jax.tree.map(_widened, representations), **values)

    return run


def _widened(x: Array | np.ndarray) -> Array | np.ndarray:
    # What a program made is of jax, and kept.
    return x.astype(np.float64) if isinstance(x, np.ndarray) else x


_nearest = _in_float64(nearest, "k")
_neighbourhoods = _in_float64(neighbourhoods, "k")
_cknna_of = _in_float64(cknna_of)
_cka_of_sums = _in_float64(
    lambda *sums, estimator: cka_of(KernelSums(*sums), estimator), "estimator"
)
_scaled = _in_float64(over_bandwidth, "bandwidth", "relative")
_rbf_cka_of = _in_float64(rbf_cka_of, "estimator")
_ranks = _in_float64(lambda x: ranks_of_distances(centred(x)))
_rsa_of = _in_float64(rsa_of_ranks)


def _shared(x: Int[Array, "n k"], y: Int[Array, "n k"]) -> float:
    of_x, of_y = np.asarray(x), np.asarray(y)
    return float((of_x[:, :, None] == of_y[:, None, :]).any(axis=2).mean())


class _Kernel(NamedTuple):
    """HKH of a kernel."""

    entries: Float[np.ndarray, "n n"]

    def sums_with(self, other: "_Kernel") -> tuple[float, float]:
        """⟨K, L⟩ and Σ k_ii l_ii."""
        diagonals = (np.diagonal(each.entries) for each in (self, other))
        return float(np.vdot(self.entries, other.entries)), float(np.vdot(*diagonals))


def _gaussian(x: np.ndarray, bandwidth: float, relative: bool) -> _Kernel:
    x = _centred(x)
    squares = np.sum(x**2, axis=1)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * x @ x.T, 0)
    np.fill_diagonal(distances, np.inf)
    # Products round small distances by those of far rows.
    for i in np.flatnonzero((distances < uneven_below(x.dtype) * squares.max()).any(axis=1)):
        distances[i] = np.sum((x - x[i]) ** 2, axis=1)
    np.fill_diagonal(distances, 0)
    scale = bandwidth**2
    if relative:
        scale *= np.median(np.sqrt(distances[np.triu_indices(len(x), 1)])) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        kernel = (
            np.expm1(-distances / (2 * scale)) if scale > 0 else np.full_like(distances, np.nan)
        )
    rows = kernel.mean(axis=0)
    return _Kernel(kernel - rows[:, None] - rows[None, :] + rows.mean())


def _cka(x: _Kernel, y: _Kernel, estimator: str) -> float:
    pairs = [first.sums_with(second) for first, second in ((x, y), (x, x), (y, y))]
    inner, diagonal = np.array(pairs).T
    traces = np.array([np.trace(each.entries) for each in (x, y)])
    n = np.array(len(x.entries))
    return float(_cka_of_sums(n, traces, inner, diagonal, estimator=estimator))


class _Space(NamedTuple):
    """U diag(σ) Vᵀ of the directions that span a space."""

    left: Float[np.ndarray, "n r"]
    along: Float[np.ndarray, "r d"]  # diag(σ) Vᵀ


def _space(x: np.ndarray, precision: str, variance: float = 1.0) -> _Space:
    x = _centred(x)
    left, sigma, right = np.linalg.svd(x, full_matrices=False)
    kept = significant(sigma, np.dtype(precision), max(x.shape), "refined") & bool(x.any())
    if variance < 1:
        squares = np.where(kept, sigma**2, 0)
        # As few directions as together reach the share.
        kept &= np.cumsum(squares) - squares < variance * squares.sum()
    return _Space(left[:, kept], sigma[kept, None] * right[kept])


def _settings_of_space(function: Any, settings: dict[str, Any]) -> dict[str, Any]:
    return {"variance": 0.99, **settings} if function is svcca else settings


def _mean_correlation(x: _Space, y: _Space, power: int = 1) -> float:
    if not (x.left.shape[1] and y.left.shape[1]):
        return np.nan
    correlations = np.linalg.svd(x.left.T @ y.left, compute_uv=False)
    return float(np.mean(correlations**power))


def _share_of_dimensions(x: _Space, y: _Space) -> float:
    ranks = x.left.shape[1], y.left.shape[1]
    return max(ranks) / (len(x.left) - 1) if min(ranks) else np.nan


def _projection_weighted(x: _Space, y: _Space) -> float:
    if not (x.left.shape[1] and y.left.shape[1]):
        return np.nan
    variates, correlations, _ = np.linalg.svd(x.left.T @ y.left, full_matrices=False)
    weights = np.abs(variates.T @ x.along).sum(axis=1)
    return float(weights @ correlations / weights.sum())


class _Turned(NamedTuple):
    """X about its mean, turned so that it has no more columns than rows, and ‖X‖²."""

    rows: Float[np.ndarray, "n r"]
    size: float


def _turned(x: np.ndarray) -> _Turned:
    x = _centred(x)
    if x.shape[1] > len(x):
        x = np.linalg.qr(x.T)[1].T
    return _Turned(x, float(np.sum(x**2)))


def _nuclear_norm(x: _Turned, y: _Turned) -> float:
    return float(np.linalg.svd(x.rows.T @ y.rows, compute_uv=False).sum())


def _distance(x: _Turned, y: _Turned) -> float:
    return max(x.size + y.size - 2 * _nuclear_norm(x, y), 0.0)


def _cosine(x: _Turned, y: _Turned) -> float:
    scale = np.sqrt(x.size) * np.sqrt(y.size)
    return _nuclear_norm(x, y) / scale if scale > 0 else np.nan


def _angle(x: _Turned, y: _Turned) -> float:
    cosine = _cosine(x, y)
    return float(2 * np.arctan2(np.sqrt(max(1 - cosine, 0.0)), np.sqrt(1 + cosine)))


_OF_SPACES: dict[Any, Callable[[_Space, _Space], float]] = {
    mean_cca: _mean_correlation,
    mean_squared_cca: partial(_mean_correlation, power=2),
    mean_squared_cca_chance: _share_of_dimensions,
    svcca: _mean_correlation,
    pwcca: _projection_weighted,
}
_OF_ROTATIONS: dict[Any, Callable[[_Turned, _Turned], float]] = {
    procrustes_distance: _distance,
    angular_procrustes_distance: _angle,
    bures_similarity: _cosine,
}
