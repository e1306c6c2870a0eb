"""Two models, layer by layer, on the same rows: how alike they are, and how aligned with the
targets.
"""

import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from jax.typing import ArrayLike

from jaxalign._core.kinds import as_count, require_choice, require_kind
from jaxalign.comparison._alignment import (
    Alignments,
    AlignmentSums,
    AreaDifference,
    Targets,
    alignments_of_rows,
    area_difference,
    best_layer,
)
from jaxalign.comparison._checks import (
    checked_centering,
    checked_seed,
    checked_targets,
    require_common_names,
    require_same_rows,
    require_settings,
)
from jaxalign.comparison._layers import (
    Callback,
    LayerShape,
    LayerSource,
    SavedLayers,
    in_blocks,
)
from jaxalign.comparison._measures import DEBIASED_CKA, Measure
from jaxalign.comparison._pairs import Pairs, of_permuted_rows, of_rows, of_sums, prepared
from jaxalign.comparison._room import are_rows_kept
from jaxalign.similarity import GridMoments, SimilarityWarning

Intervals = Literal["best", "named", "none"]


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` found.

    Attributes:
      measure: what was measured of each pair, for people.
      is_distance: whether less of it means more alike.
      is_share: whether it lies between 0 and 1, but for noise.
      first: layer → LayerShape of the first side.
      second: likewise of the second side.
      left_out: of both sides, layer → why it was not compared.
      pairs: the measure of all pairs, and what chance gives them.
      permutations: how many random orders of rows chance was taken from; 0 where it is exact, or
        not known.
      alignments: of both sides, layer → its numbers; None without targets.
      differences: of layers' alignment, with intervals.
      num_samples: n.
      centered: whether the means of features and targets were subtracted for the alignment.
    """

    measure: str
    is_distance: bool
    is_share: bool
    first: OrderedDict[str, LayerShape]
    second: OrderedDict[str, LayerShape]
    left_out: tuple[Mapping[str, str], Mapping[str, str]]
    pairs: Pairs
    permutations: int
    alignments: tuple[Alignments, Alignments] | None
    differences: tuple[AreaDifference, ...]
    num_samples: int
    centered: bool


class _Task(NamedTuple):
    """What is to be done with both sides."""

    measure: Measure
    targets: Targets | None
    centered: bool
    permutations: int
    seed: int
    callback: Callback


def compare(
    first: LayerSource,
    second: LayerSource,
    measure: Measure = DEBIASED_CKA,
    *,
    targets: ArrayLike | None = None,
    centered: bool | None = None,
    permutations: int = 0,
    intervals: Intervals = "best",
    seed: int = 0,
    memory_limit: float = 4 * 2**30,
    callback: Callback | None = None,
) -> Comparison:
    """A measure of every layer of one model with every layer of another one, on the same rows, and
    what chance gives; with targets, also how aligned each layer is with them.

    A measure that is read from sums takes a memory that does not grow with the rows, where those
    take more: some 8(PQ + Σp² + Σq²) bytes for P and Q columns in all. Other measures, and
    permutations, need the rows of all layers in memory.

    Args:
      first: ``ModelLayers`` or ``SavedLayers``.
      second: likewise, of the same rows in the same order; ``first`` itself compares the layers of
        one model.
      measure: of two layers; by default debiased linear CKA.
      targets: (n, k) from ``encode_targets``, of the same rows; or (n,) floats.
      centered: as in ``inspect``, for the alignment.
      permutations: take what chance gives from so many random orders of the rows of one side.
      intervals: of which layers' alignment the difference is taken, with a 95 % interval over
        bootstrap samples of rows: "best", the layer of each side furthest above chance; "named",
        the layers of one name; or "none".
      seed: of permutations and bootstrap samples.
      memory_limit: bytes.
      callback: called with (stage, done, total).

    Returns:
      Comparison.

    Raises:
      ValueError: sides of different n, of too few rows for the measure; targets of another n, or
        that are 0, about their mean if they are centred; no layers of one name for "named"; rows
        or sums over the memory limit (before anything is computed); layers that hold NaN; as the
        measure.
      TypeError: another kind of argument.

    Example:
      >>> import numpy as np
      >>> from jaxalign.comparison import SavedLayers, compare
      >>> rows = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
      >>> first = SavedLayers({"a": rows[:, :4]}, {"a": (40, 4)})
      >>> second = SavedLayers({"b": rows[:, 2:]}, {"b": (40, 4)})
      >>> pairs = compare(first, second).pairs
      >>> pairs.values.shape, bool(pairs.chance.p_value < 0.05)
      ((1, 1), True)

    Source: layers × layers as Kornblith, Norouzi, Lee, Hinton (ICML 2019), Section 6.
    """
    require_kind(measure, Measure, "measure", "pass comparison.DEBIASED_CKA")
    require_choice(intervals, get_args(Intervals), "intervals")
    require_settings(callback, memory_limit)
    permutations = as_count(permutations, "permutations", least=0)
    require_same_rows(first, second, measure)
    require_common_names(intervals, first, second)
    y = checked_targets(targets, first.num_samples)
    about_mean = checked_centering(centered, y)
    task = _Task(measure, y, about_mean, permutations, checked_seed(seed), callback or _silent)
    sums_would_do = measure.of_moments and not permutations
    num_targets = 0 if y is None else y.shape[1]
    in_memory = are_rows_kept(
        (first, second), num_targets, memory_limit, sums_would_do=sums_would_do
    )
    with warnings.catch_warnings():
        # NaN of a layer that is constant is in the result, for all its pairs.
        warnings.simplefilter("ignore", SimilarityWarning)
        if in_memory:
            first, second = _kept(first, second, task.callback)
            pairs, alignments = _from_rows(first, second, task)
        else:
            pairs, alignments = _from_sums(first, second, task)
    _require_finite(pairs, measure)
    return Comparison(
        measure=measure.name,
        is_distance=measure.is_distance,
        is_share=measure.is_share,
        first=OrderedDict(first.shapes),
        second=OrderedDict(second.shapes),
        left_out=(first.left_out, second.left_out),
        pairs=pairs,
        permutations=permutations,
        alignments=alignments,
        differences=_differences(first, second, alignments, task, intervals),
        num_samples=first.num_samples,
        centered=about_mean,
    )


def _require_finite(pairs: Pairs, measure: Measure) -> None:
    if np.isinf(pairs.values).any():
        raise ValueError(
            f"{measure.name} is beyond {pairs.values.dtype} for some pairs; divide the layers by a "
            "constant, or choose a measure without units"
        )


def _kept(
    first: LayerSource, second: LayerSource, callback: Callback
) -> tuple[SavedLayers, SavedLayers]:
    """Both sides with the rows of all layers in memory; each is read once."""
    of_first = _in_memory(first, "rows of the first", callback)
    if second is first:
        return of_first, of_first
    return of_first, _in_memory(second, "rows of the second", callback)


def _in_memory(source: LayerSource, stage: str, callback: Callback) -> SavedLayers:
    if isinstance(source, SavedLayers):
        return source
    parts: dict[str, list[np.ndarray]] = {name: [] for name in source.shapes}
    done = 0
    for batch in source.batches(source.shapes):
        for name, rows in batch.items():
            parts[name].append(rows)
        done += len(rows)
        callback(stage, done, source.num_samples)
    _require_count(done, source)
    matrices = {name: np.concatenate(parts.pop(name)) for name in source.shapes}
    shapes = {name: x.shape for name, x in matrices.items()}
    kept = SavedLayers(matrices, shapes, left_out=source.left_out)
    kept.shapes = OrderedDict(source.shapes)
    return kept


def _require_count(found: int, source: LayerSource) -> None:
    if found != source.num_samples:
        raise ValueError(f"batches must hold {source.num_samples} rows, found {found}")


def _from_rows(
    first: SavedLayers, second: SavedLayers, task: _Task
) -> tuple[Pairs, tuple[Alignments, Alignments] | None]:
    xs, ys = (
        prepared({name: side.matrix(name) for name in side.shapes}, task.measure)
        for side in (first, second)
    )
    if task.permutations:
        pairs = of_permuted_rows(xs, ys, task.measure, task.permutations, task.seed, task.callback)
    else:
        pairs = of_rows(xs, ys, task.measure, task.callback)
    if task.targets is None:
        return pairs, None
    found = [
        alignments_of_rows(side, task.targets, centered=task.centered, callback=task.callback)
        for side in ((first,) if second is first else (first, second))
    ]
    return pairs, (found[0], found[-1])


def _from_sums(
    first: LayerSource, second: LayerSource, task: _Task
) -> tuple[Pairs, tuple[Alignments, Alignments] | None]:
    widths = [{name: each.width for name, each in side.shapes.items()} for side in (first, second)]
    sums = GridMoments(*widths)
    aligned = AlignmentSums(), AlignmentSums()
    done = 0
    for xs, ys in zip(in_blocks(first), in_blocks(second), strict=False):
        count = len(next(iter(xs.values())))
        sums.add(prepared(xs, task.measure), prepared(ys, task.measure))
        if task.targets is not None:
            for each, rows in zip(aligned, (xs, ys), strict=True):
                each.add(rows, task.targets[done : done + count])
        done += count
        task.callback("rows", done, first.num_samples)
    _require_count(done, first)
    pairs = of_sums(sums, task.measure, task.callback)
    if task.targets is None:
        return pairs, None
    of_first, of_second = (each.alignments(centered=task.centered) for each in aligned)
    return pairs, (of_first, of_second)


def _differences(
    first: LayerSource,
    second: LayerSource,
    alignments: tuple[Alignments, Alignments] | None,
    task: _Task,
    intervals: Intervals,
) -> tuple[AreaDifference, ...]:
    if alignments is None or task.targets is None or intervals == "none" or second is first:
        return ()
    chosen = [(best_layer(alignments[0]), best_layer(alignments[1]))]
    if intervals == "named":
        chosen = [(name, name) for name in first.shapes if name in second.shapes]
    found = []
    for number, (x, y) in enumerate(chosen):
        sides = (first, x), (second, y)
        found.append(area_difference(*sides, task.targets, centered=task.centered, seed=task.seed))
        task.callback("intervals of differences", number + 1, len(chosen))
    return tuple(found)


def _silent(stage: str, done: int, total: int) -> None:
    """A callback that does nothing."""
