"""Representational similarity analysis: how alike the distances between rows are."""

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxalign._core.arrays import as_numbers
from jaxalign._core.clouds import cloud_of
from jaxalign._core.derivatives import without_derivative
from jaxalign._core.kinds import as_known_number, require_choice
from jaxalign._core.known import is_concrete
from jaxalign._core.linalg import centred
from jaxalign.similarity._blocks import by_rows
from jaxalign.similarity._estimators import explained
from jaxalign.similarity._kernel_sums import KernelSums, of_centred_features
from jaxalign.similarity._pair_moments import PairMoments
from jaxalign.similarity._reading import Central, compared_or_read, kernel_sums

Metric = Literal["sqeuclidean", "correlation"]
Compare = Literal["pearson", "cosine", "spearman"]

# By how much rounding may change squared distances, of these.
Rounding = Callable[[Array], Array]

# Two lists of n²/2 ranks in float64, and distances that are sorted and bisected, on a CPU.
_BYTES_PER_PAIR = 80


def rsa(
    x: ArrayLike | PairMoments,
    y: ArrayLike | None = None,
    *,
    metric: Metric = "sqeuclidean",
    compare: Compare = "pearson",
    limit: float = 2e9,
) -> Float[Array, ""]:
    """The correlation of the distances d(x_i, x_j) with d(y_i, y_j) over all pairs of rows i < j.

    "pearson" and "cosine" are exact from sums, for any n: with centred kernels K = XXᵀ, squared
    distances are k_ii + k_jj − 2k_ij, and 1 − r of two rows is half the squared distance of the
    rows about their own means with norm 1. By chance "pearson" and "spearman" are 0 in the mean,
    "cosine" is not; for p-values see ``permutation_null``.

    Args:
      x: (n, p) of one representation, n ≥ 3; or PairMoments, alone, with "sqeuclidean".
      y: (n, q) of the other one, of the same rows.
      metric: "sqeuclidean", ‖x_i − x_j‖²; or "correlation", 1 − r over the p columns.
      compare: "pearson"; "cosine", without subtracting the means; or "spearman", of ranks, equal
        distances sharing the mean of theirs, which has no derivative.
      limit: bytes that "spearman" may take; on a CPU it takes some 40 n².

    Returns:
      () in the features' dtype; NaN where all distances of x or of y are equal (with a
      SimilarityWarning in eager calls).

    Raises:
      ValueError: x or y no matrix, empty, not finite (eager calls), of different n or n < 3; an
        unknown metric or comparison; "correlation" of rows that are constant over their columns
        (eager calls); "spearman" of more pairs than ``limit`` allows; pair moments with
        "correlation" or "spearman", or as ``linear_cka``.
      TypeError: x or y no numbers; "spearman" when differentiated.

    Example:
      >>> from jaxalign import similarity
      >>> x = [[0.0, 1.0], [2.0, 0.0], [1.0, 1.0], [3.0, 2.0]]
      >>> similarity.rsa(x, x, compare="spearman").item()
      1.0

    Source: Kriegeskorte, Mur, Bandettini (Frontiers in Systems Neuroscience 2008).
    """
    require_choice(metric, get_args(Metric), "metric")
    require_choice(compare, get_args(Compare), "compare")
    most = as_known_number(limit, "limit")
    if not most >= 0:
        raise ValueError(f"limit must be a number of bytes, found {most}")
    if isinstance(x, PairMoments) and (metric, compare == "spearman") != ("sqeuclidean", False):
        raise ValueError(
            "pair moments hold squared distances without their order; pass arrays for "
            f"metric={metric!r} and compare={compare!r}"
        )
    if not isinstance(x, PairMoments) and y is not None:
        x, y = as_numbers(x, "x"), as_numbers(y, "y")
        _require_usable(x, "x", metric, compare, most)
        _require_usable(y, "y", metric, compare, most)
    of_arrays = _of_ranks if compare == "spearman" else _of_arrays
    value = compared_or_read(of_arrays, _of_moments, x, y, metric, compare, least=3)
    return explained(value, "rsa")


def _require_usable(x, name: str, metric: str, compare: str, limit: float) -> None:
    if x.ndim != 2:
        return  # refused later
    needed = _BYTES_PER_PAIR * len(x) * (len(x) - 1) / 2
    if compare == "spearman" and needed > limit:
        raise ValueError(
            f"compare='spearman' ranks all pairs of {len(x)} rows, which takes {needed:.1e} bytes "
            f"of the {limit:.1e} allowed; pass compare='pearson', fewer rows, or a larger limit"
        )
    if metric == "correlation" and is_concrete(x) and x.size > 0:
        values = np.asarray(x, np.float64)
        constant = np.flatnonzero(values.max(axis=1) == values.min(axis=1))
        if constant.size > 0:
            raise ValueError(
                f"{name} must vary within each row for metric='correlation', found {constant.size} "
                f"constant rows (the first is row {constant[0]}); drop them from x and y"
            )


def _prepared(x: Float[Array, "n d"], metric: str) -> Float[Array, "n d"]:
    """Rows whose squared distances are those of the metric, but for a factor."""
    if metric == "correlation":
        x = centred(x.T).T
        x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    return centred(x)


def _of_arrays(x: Array, y: Array, metric: str, compare: str) -> Array:
    return _correlation(of_centred_features(_prepared(x, metric), _prepared(y, metric)), compare)


def _of_moments(central: Central, metric: str, compare: str) -> Array:
    return _correlation(kernel_sums(central), compare)


def _correlation(sums: KernelSums, compare: str) -> Array:
    n = sums.n
    traces = sums.traces
    squares = jnp.stack([traces[0] * traces[1], traces[0] ** 2, traces[1] ** 2])
    # Over all i and j, Σ d_ij d'_ij of d_ij = k_ii + k_jj − 2k_ij, and Σ d_ij = 2n tr K.
    both, own, other = 2 * n * sums.diagonal + 2 * squares + 4 * sums.inner
    if compare == "pearson":
        mean_squares = 4 * n * squares / (n - 1)
        both, own, other = (s - m for s, m in zip((both, own, other), mean_squares, strict=True))
    return _ratio(both, own, other, squares[1:])


def _ratio(both: Array, own: Array, other: Array, sizes: Float[Array, " 2"]) -> Array:
    # Distances that are all equal leave rounding.
    rounding = 2.0**12 * float(jnp.finfo(own.dtype).eps) * sizes
    is_defined = (own > rounding[0]) & (other > rounding[1])
    scale = jnp.sqrt(jnp.where(is_defined, own, 1)) * jnp.sqrt(jnp.where(is_defined, other, 1))
    return jnp.where(is_defined, both / scale, jnp.nan)


_REASON = "ranks have no derivative; differentiate rsa with compare='pearson'"


@partial(without_derivative, reason=_REASON, static=(2, 3))
def _of_ranks(x: Array, y: Array, metric: str, compare: str) -> Array:
    width = max(x.shape[1], y.shape[1])

    def as_wide(part: Float[Array, "n d"]) -> Float[Array, "n width"]:
        # Columns of zeros change no distance.
        return jnp.pad(part, ((0, 0), (0, width - part.shape[1])))

    both = jnp.stack([as_wide(_prepared(part, metric)) for part in (x, y)])
    # One after the other: two at once take twice the memory.
    return rsa_of_ranks(*lax.map(ranks_of_distances, both))


def ranks_of_distances(x: Float[Array, "n d"]) -> Float[Array, " pairs"]:
    """About their mean, of centred rows: what one representation brings to ``rsa`` by ranks."""
    ranks = _ranks(*_distances(x))
    return ranks - ranks.mean()


def rsa_of_ranks(k: Float[Array, " pairs"], l: Float[Array, " pairs"]) -> Array:  # noqa: E741
    """``rsa`` by ranks of two representations."""
    sizes = jnp.full(2, len(k), k.dtype)
    return _ratio(jnp.sum(k * l), jnp.sum(k * k), jnp.sum(l * l), sizes)


def _distances(x: Float[Array, "n d"]) -> tuple[Float[Array, " pairs"], Rounding]:
    """‖x_i − x_j‖² of centred rows, of each pair once, and by how much rounding may change them."""
    n = len(x)
    cloud = cloud_of(x)

    def of_row(i: Array, row: Array) -> Float[Array, " half"]:
        """Of rows i and i + s modulo n: for s up to half of n, all pairs."""
        distances = cloud.distances(row)
        return lax.dynamic_slice_in_dim(jnp.concatenate([distances] * 2), i + 1, n // 2)

    squares = by_rows(of_row, jnp.arange(n), x, numbers=2 * n)
    # Of an even n, row i + n/2 has the same last pair as row i.
    single = (n - 1) // 2
    squares = jnp.concatenate([squares[:, :single].ravel(), squares[: n // 2, single:].ravel()])
    largest, entry = jnp.max(cloud.squares), jnp.max(jnp.abs(x))

    def rounding(squares: Array) -> Array:
        of_sums = jnp.where(cloud.is_uneven, jnp.sqrt(squares) * entry, 2 * largest)
        return 2.0**6 * float(jnp.finfo(x.dtype).eps) * (squares + of_sums)

    return squares, rounding


def _ranks(values: Float[Array, " m"], rounding: Rounding) -> Float[Array, " m"]:
    """Ranks from 1; values that are equal but for rounding share the mean of theirs."""
    first, last = lax.platform_dependent(
        values, cpu=partial(_bisected, rounding), default=partial(_merged, rounding)
    )
    return (first + last + 1).astype(values.dtype) / 2


def _bisected(rounding: Rounding, values: Array) -> tuple[Array, Array]:
    """As ``_merged``, in half the time and a third of the memory on a CPU. It also sorts whole
    numbers in a seventh of the time: bits of values that are not negative are ordered as they are.
    """
    whole = jnp.dtype(f"uint{jnp.finfo(values.dtype).bits}")
    bits = lax.bitcast_convert_type(values, whole)
    ordered = lax.bitcast_convert_type(jnp.sort(bits), values.dtype)
    return _places("scan", ordered, values, rounding(values))


def _merged(rounding: Rounding, values: Array) -> tuple[Array, Array]:
    return _places("sort", jnp.sort(values), values, rounding(values))


def _places(method: str, ordered: Array, values: Array, rounding: Array) -> tuple[Array, Array]:
    """How many values are smaller, and how many are not larger, by more than rounding."""
    first = jnp.searchsorted(ordered, values - rounding, side="left", method=method)
    return first, jnp.searchsorted(ordered, values + rounding, side="right", method=method)
