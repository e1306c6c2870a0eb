"""A measure of all pairs of layers, from rows in memory or from sums, and what chance gives."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from jaxalign._features import unit_rows
from jaxalign.comparison._layers import Callback, Matrices
from jaxalign.comparison._measures import Measure
from jaxalign.similarity import GridMoments, grid, grid_and_null, linear_cka_null
from jaxalign.similarity._grid import rows_of_grid

Grid = Float[np.ndarray, "a b"]

_ROWS_OF_NULL = 4
_STAGE = "pairs of layers"


class Chance(NamedTuple):
    """What chance gives each pair.

    Attributes:
      mean: (a, b) of the measure.
      standard_deviation: (a, b) of the measure; None where it is not known.
      p_value: (a, b) how likely chance is to give layers as alike as these; None where it is not
        known.
    """

    mean: Grid
    standard_deviation: Grid | None = None
    p_value: Grid | None = None


class Pairs(NamedTuple):
    """A measure of all pairs.

    Attributes:
      values: (a, b); NaN where a layer is constant.
      chance: None where it is not known.
    """

    values: Grid
    chance: Chance | None


def prepared(rows: Matrices, measure: Measure) -> Matrices:
    """Rows as the measure takes them."""
    if not measure.unit_rows:
        return rows
    return {name: np.asarray(unit_rows(x, bias=False)) for name, x in rows.items()}


def of_rows(xs: Matrices, ys: Matrices, measure: Measure, callback: Callback) -> Pairs:
    """The measure of rows in memory, and what is known of chance without permutations."""
    estimator: Any = measure.cka_estimator
    if estimator is not None and _num_samples(xs) >= _ROWS_OF_NULL:
        values, null = jax.tree.map(np.asarray, grid_and_null(xs, ys, estimator=estimator))
        return Pairs(values, Chance(*null))
    values = _grid(measure.function, xs, ys, callback)
    if measure.chance is None:
        return Pairs(values, None)
    return Pairs(values, Chance(_grid(measure.chance, xs, ys, callback)))


def of_permuted_rows(
    xs: Matrices, ys: Matrices, measure: Measure, count: int, seed: int, callback: Callback
) -> Pairs:
    """The measure of rows in memory, and what ``count`` random orders of the rows of ys give."""
    values = _grid(measure.function, xs, ys, callback)
    generator = np.random.default_rng(seed)
    drawn = []
    for number in range(count):
        order = generator.permutation(_num_samples(ys))
        permuted = {name: y[order] for name, y in ys.items()}
        drawn.append(_grid(measure.function, xs, permuted, _silent))
        callback("permutations", number + 1, count)
    each = np.stack(drawn).astype(np.float64)
    as_alike = each <= values if measure.is_distance else each >= values
    # The order that was observed is one of all (Phipson and Smyth, 2010).
    p_values = (1 + as_alike.sum(axis=0)) / (1 + count)
    p_values[np.isnan(values)] = np.nan
    return Pairs(values, Chance(each.mean(axis=0), each.std(axis=0, ddof=1), p_values))


def of_sums(sums: GridMoments, measure: Measure, callback: Callback) -> Pairs:
    """The measure of pair moments, and what is known of chance."""
    estimator: Any = measure.cka_estimator
    if estimator is not None:

        def of_pair(first: str, second: str) -> tuple[float, ...]:
            moments = sums.pair(first, second)
            null = linear_cka_null(moments, estimator=estimator)
            return float(measure.function(moments)), *map(float, null)

        values, *null = _each(of_pair, *sums.layers, callback)
        return Pairs(values, Chance(*null))

    def of_measure(first: str, second: str) -> tuple[float, ...]:
        moments = sums.pair(first, second)
        found = [measure.function(moments)]
        if measure.chance is not None:
            found.append(measure.chance(moments))
        return tuple(map(float, found))

    values, *means = _each(of_measure, *sums.layers, callback)
    return Pairs(values, Chance(*means) if means else None)


def _grid(function: Callable[..., Any], xs: Matrices, ys: Matrices, callback: Callback) -> Grid:
    # The kernels of linear CKA are made once for all pairs.
    if Measure(function, "").cka_estimator is not None:
        return np.asarray(grid(xs, ys, function))
    rows = []
    for row in rows_of_grid(xs, ys, function):
        rows.append(np.asarray(row))
        callback(_STAGE, len(rows) * len(ys), len(xs) * len(ys))
    return np.stack(rows)


def _each(
    of_pair: Callable[[str, str], tuple[float, ...]],
    firsts: list[str],
    seconds: list[str],
    callback: Callback,
) -> list[Grid]:
    """Several numbers of each pair, as arrays (a, b)."""
    rows = []
    for number, first in enumerate(firsts):
        rows.append([of_pair(first, second) for second in seconds])
        callback(_STAGE, (number + 1) * len(seconds), len(firsts) * len(seconds))
    return list(np.moveaxis(np.asarray(rows), -1, 0))


def _num_samples(rows: Matrices) -> int:
    return len(next(iter(rows.values())))


def _silent(stage: str, done: int, total: int) -> None:
    """A callback that does nothing."""
