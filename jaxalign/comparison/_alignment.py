"""How aligned the layers of both sides are with the targets, and the difference of two layers on
the same rows with an interval.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from jaxalign._features import prepare
from jaxalign._spectrum.moments import Moments, moments
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment import (
    alignment_area,
    bootstrap_difference,
    spectrum_and_null,
    usual_thresholds,
)
from jaxalign.comparison._layers import Callback, LayerSource, Matrices
from jaxalign.inspection import Inspection, LayerNumbers, numbers

Alignments = OrderedDict[str, LayerNumbers]
Targets = Float[np.ndarray, "n k"]

_FOLDS = 20
_DRAWS = 100


class AreaDifference(NamedTuple):
    """The area of a layer of the second side less that of a layer of the first.

    Attributes:
      first: the layer of the first side.
      second: the layer of the second side.
      value: of all rows.
      low: the lower end of its 95 % interval, over bootstrap samples of rows that both share.
      high: the upper end.
    """

    first: str
    second: str
    value: float
    low: float
    high: float


class AlignmentSums:
    """The moments of layers with the targets, batch by batch."""

    def __init__(self) -> None:
        self._sums: dict[str, Moments] = {}

    @staticmethod
    def memory(widths: Collection[int], targets: int) -> int:
        """Bytes that the sums of layers of so many columns take."""
        return sum(8 * (width + 3) * (width + 2 + targets) for width in widths)

    def add(self, rows: Matrices, targets: Targets) -> None:
        """Add a batch."""
        for name, x in rows.items():
            batch = moments(prepare(x), targets)
            self._sums[name] = self._sums[name] + batch if name in self._sums else batch

    def alignments(self, *, centered: bool) -> Alignments:
        """The numbers of every layer; its moments are freed."""
        pairs = (
            (name, spectrum_and_null(self._sums.pop(name), centered=centered))
            for name in list(self._sums)
        )
        return _numbers(pairs)


def alignments_of_rows(
    source: LayerSource, targets: Targets, *, centered: bool, callback: Callback
) -> Alignments:
    """The numbers of every layer, whose rows are in memory."""

    def pairs() -> Iterator[tuple[str, tuple[Spectrum, Spectrum]]]:
        for number, name in enumerate(source.shapes):
            features = prepare(source.matrix(name))
            yield name, spectrum_and_null(features, targets, centered=centered)
            callback("alignment of layers", number + 1, len(source.shapes))

    return _numbers(pairs())


def _numbers(pairs: Iterable[tuple[str, tuple[Spectrum, Spectrum]]]) -> Alignments:
    spectra: OrderedDict[str, Spectrum] = OrderedDict()
    nulls: OrderedDict[str, Spectrum] = OrderedDict()
    for name, (spectrum, null) in pairs:
        spectra[name], nulls[name] = spectrum, null
    samples = float(next(iter(spectra.values())).num_samples)
    inspection = Inspection(spectra, nulls, OrderedDict(), {}, samples)
    return numbers(inspection, usual_thresholds(samples))


def _share(spectrum: Spectrum) -> Array:
    """The area of all targets together, over ‖Y‖²."""
    return alignment_area(spectrum).sum() / spectrum.total.sum()


def best_layer(found: Alignments) -> str:
    """The layer whose area is the furthest above chance: a common direction of all rows is aligned
    with the mean of the targets, whatever the layer knows.
    """
    return max(found, key=lambda name: found[name].area - found[name].null_area)


def area_difference(
    first: tuple[LayerSource, str],
    second: tuple[LayerSource, str],
    targets: Targets,
    *,
    centered: bool,
    seed: int,
) -> AreaDifference:
    """The difference of the areas of two layers, with its interval over random folds of rows."""
    n = len(targets)
    count = min(_FOLDS, n)
    fold_of_row = np.random.default_rng(seed).permutation(n) % count
    found = bootstrap_difference(
        _folds(*first, targets, fold_of_row, count),
        _folds(*second, targets, fold_of_row, count),
        _share,
        key=jax.random.key(seed),
        draws=_DRAWS,
        centered=centered,
    )
    low, high = map(float, found.interval())
    return AreaDifference(first[1], second[1], float(found.value), low, high)


def _folds(
    source: LayerSource, name: str, targets: Targets, fold_of_row: Int[np.ndarray, " n"], count: int
) -> list[Moments]:
    parts: list[list[Moments]] = [[] for _ in range(count)]
    start = 0
    for features in _features(source, name):
        stop = start + len(features)
        for fold in range(count):
            own = np.flatnonzero(fold_of_row[start:stop] == fold)
            if own.size:
                parts[fold].append(moments(features[own], targets[start:stop][own]))
                # One sum at a time, which is d × d.
                parts[fold] = [sum(parts[fold][1:], parts[fold][0])]
        start = stop
    return [part[0] for part in parts]


def _features(source: LayerSource, name: str) -> Iterator[Float[np.ndarray, "m d"]]:
    """Φ of a layer, batch by batch; of one that is wider than its rows, as many coordinates."""
    # float32 has digits enough for an interval.
    batches = (np.asarray(prepare(rows[name]), np.float32) for rows in source.batches([name]))
    if source.shapes[name].width < source.num_samples:
        yield from batches
        return
    # In a basis of the rows' span: rows that are drawn again stay in it, so no spectrum changes.
    features = np.concatenate(list(batches))
    basis, _ = np.linalg.qr(features.T.astype(np.float64))
    yield (features @ basis).astype(np.float32)
