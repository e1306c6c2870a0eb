"""How much a measure differs between two representations of the same rows, with an interval."""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import NormalDist
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from jaxalign._core.checks import as_real_floats
from jaxalign._core.confidences import require_within_one
from jaxalign._core.kinds import (
    as_count,
    as_known_number,
    require_flag,
    require_function,
    require_key,
)
from jaxalign._core.known import is_concrete
from jaxalign._spectrum.carried import carried, restored
from jaxalign._spectrum.moments import Moments
from jaxalign._spectrum.spectrum import spectrum
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment._bootstrap import as_folds, drawn_folds, merged, over_samples


class Difference(NamedTuple):
    """A measure of the second representation less that of the first.

    Attributes:
      value: of all rows.
      error: the standard deviation of the difference over bootstrap samples.
    """

    value: Float[Array, "..."]
    error: Float[Array, "..."]

    def interval(self, confidence: float = 0.95) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """(low, high): value ± z·error.

        Args:
          confidence: in (0, 1), of a normal distribution.

        Returns:
          Two arrays of the shape of ``value``.

        Raises:
          ValueError: a confidence that is not in (0, 1).
          TypeError: a confidence that is not a number.
        """
        share = as_known_number(confidence, "confidence")
        require_within_one(share)
        width = NormalDist().inv_cdf((1 + share) / 2) * self.error
        return self.value - width, self.value + width


def bootstrap_difference(
    first: Moments | Sequence[Moments],
    second: Moments | Sequence[Moments],
    measure: Callable[[Spectrum], Array],
    *,
    key: Array,
    draws: int = 200,
    centered: bool = False,
) -> Difference:
    """measure(second) − measure(first) of two layers or models on the same rows, with its spread
    over bootstrap samples of folds that both share.

    What is peculiar to the rows moves both alike, so the difference is known better than the two
    by themselves. Folds as in ``bootstrap_curves``, whose docstring says how well such intervals
    cover.

    Args:
      first, second: the Moments of F disjoint parts of the rows, the same parts with the same
        targets in both.
      measure: of a Spectrum; any shape.
      key: of ``jax.random.key``.
      draws: how many bootstrap samples.
      centered: about the mean of each bootstrap sample.

    Returns:
      Difference.

    Raises:
      ValueError: as ``bootstrap_curves``; folds of other rows or targets (eager calls).
      TypeError: folds that are not Moments; a measure that is not a function; a key, draws or
        ``centered`` of another kind.

    Example:
      >>> import jax
      >>> import numpy as np
      >>> import jaxalign as ja
      >>> rng = np.random.default_rng(0)
      >>> rows = rng.standard_normal((20, 10, 3)).astype(np.float32)  # 20 folds of 10 rows
      >>> y = rows[..., :1]
      >>> first, second = (jax.vmap(ja.moments)(x, y) for x in (rows[..., 1:], rows))
      >>> area = ja.alignment.bootstrap_difference(
      ...     first, second, ja.alignment_area, key=jax.random.key(0)
      ... )
      >>> low, high = area.interval()
      >>> bool(low[0] > 0)
      True

    Source: ours; the paired block bootstrap, Künsch (1989).
    """
    require_function(measure, "measure", "pass alignment_area, or a function of a Spectrum")
    draws = as_count(draws, "draws", least=2)
    require_key(key)
    require_flag(centered, "centered")
    pair = as_folds(first, "first"), as_folds(second, "second")
    _require_same_rows(*pair)
    chosen = drawn_folds(key, draws, len(pair[0].products))
    value, each = _differences(measure, centered, *pair, chosen)
    return Difference(value, jnp.std(each[:draws], axis=0, ddof=1))


@partial(jax.jit, static_argnums=(0, 1))
def _differences(
    measure: Callable[[Spectrum], Array],
    centered: bool,
    first: Moments,
    second: Moments,
    chosen: Int[Array, "turns at_once F"],
) -> tuple[Array, Array]:
    kept = [carried(folds) for folds in (first, second)]

    def of_sample(counts: Int[Array, " F"]) -> Array:
        samples = [merged(restored(folds), counts) for folds in kept]
        solved = [spectrum(sample, centered=centered) for sample in samples]
        of_first, of_second = (as_real_floats(measure(s), "values of the measure") for s in solved)
        return of_second - of_first

    whole = of_sample(jnp.ones(len(first.products), jnp.int32))
    return whole, over_samples(of_sample, chosen)


def _require_same_rows(first: Moments, second: Moments) -> None:
    sums = [_sums_of_targets(folds) for folds in (first, second)]
    if sums[0].shape != sums[1].shape:
        raise ValueError(
            "first and second must have as many folds and targets, "
            f"found {_described(first)} and {_described(second)}"
        )
    if not all(map(is_concrete, sums)):
        return
    of_first, of_second = map(np.asarray, sums)
    squares = of_first[:, 1].copy()
    squares[:, 0] = of_first[:, 0, 0]
    # |Σ w y| ≤ √(Σ w · Σ w y²) for each target, however small it is next to the others.
    bounds = np.sqrt(squares[:, :1] * squares)
    limits = 1e-5 * np.stack([bounds, squares], axis=1)
    if (np.abs(of_second - of_first) > limits).any():
        raise ValueError(
            "first and second must be of the same rows with the same targets, found folds whose "
            "weights, sums of targets or sums of their squares differ; split the rows of both in "
            "the same way"
        )


def _sums_of_targets(folds: Moments) -> Float[Array, "F 2 columns"]:
    """Σ w (1, y), and in a second row 0 and Σ w y², of each fold."""
    return folds.products[:, folds.width :, folds.width :]


def _described(folds: Moments) -> str:
    count, rows, columns = folds.products.shape
    return f"{count} folds of {columns + 1 - rows} targets"
