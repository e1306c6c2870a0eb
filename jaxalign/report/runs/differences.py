"""How runs differ from the first one, in every measure of every layer that all of them have, at the
last step at which all of them have it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxalign.report.run.summary import DIMENSIONS, is_share
from jaxalign.report.runs.read import NamedRun
from jaxalign.statistics import Estimate, mean_difference, mean_interval


class Quantity(NamedTuple):
    """What is compared.

    Attributes:
      name: for people.
      measure: as it was logged.
      tau: of a measure over thresholds the one that is compared.
    """

    name: str
    measure: str
    tau: float | None = None


class Row(NamedTuple):
    """A quantity of one layer in all runs.

    Attributes:
      quantity: what.
      layer: where.
      step: when.
      means: of each run, over its models.
      differences: of each run but the first, less the first, with a 95 % interval; NaN for its ends
        where a run has a single model.
    """

    quantity: Quantity
    layer: str
    step: int
    means: list[float]
    differences: list[Estimate]


class Differences(NamedTuple):
    """Runs side by side.

    Attributes:
      runs: the first is what the others are compared with.
      rows: what all of them have.
      notes: how to read it.
    """

    runs: Sequence[NamedRun]
    rows: list[Row]
    notes: list[str]

    @property
    def quantities(self) -> list[Quantity]:
        """Those that are compared, in order."""
        return list(dict.fromkeys(row.quantity for row in self.rows))


def differences(runs: Sequence[NamedRun]) -> Differences:
    """Compare runs with the first of them.

    Raises:
      ValueError: runs that were measured on other numbers of rows, about the mean and not, or that
        have no measure of a layer in common at a common step.
    """
    _require_alike(runs)
    rows = list(_rows(runs))
    order = list(dict.fromkeys(row.quantity for row in rows))
    rows.sort(key=lambda row: order.index(row.quantity))
    if not rows:
        logged = "; ".join(f"{run.name} has {_logged(run)}" for run in runs)
        raise ValueError(
            "the runs have no measure of a layer in common that was taken at a common step: "
            f"{logged}; name runs with layers and measures of the same names"
        )
    return Differences(runs, rows, list(_notes(runs, rows)))


def is_paired(first: NamedRun, other: NamedRun) -> bool:
    """Whether both have the same seeds, of which each begins alike."""
    return len(first.seeds) > 1 and first.seeds == other.seeds


def _require_alike(runs: Sequence[NamedRun]) -> None:
    first = runs[0]
    for other in runs[1:]:
        for name, why in (
            ("size", "areas over ‖y‖² reach the root of the number of rows"),
            ("centered", "shares about the mean are of another ‖y‖²"),
        ):
            before, after = (run.monitor.get(name) for run in (first, other))
            if before is not None and after is not None and before != after:
                raise ValueError(
                    f"{other.name} cannot be compared with {first.name}: monitor {name} is {after} "
                    f"there and {before} here, and {why}; train one of them like the other"
                )


def _rows(runs: Sequence[NamedRun]) -> Iterator[Row]:
    histories = [run.summary.history for run in runs]
    for layer, logged in histories[0].layers.items():
        for measure in logged:
            if not all(measure in history.layers.get(layer, {}) for history in histories):
                continue
            steps = {*histories[0].steps_of(layer, measure).tolist()}
            for history in histories[1:]:
                steps &= {*history.steps_of(layer, measure).tolist()}
            quantity = _quantity(runs, layer, measure)
            if steps and quantity is not None:
                yield _row(runs, layer, quantity, max(steps))


def _quantity(runs: Sequence[NamedRun], layer: str, measure: str) -> Quantity | None:
    """What is compared of a measure; None of one that is not a number, or without a common τ."""
    histories = [run.summary.history for run in runs]
    shares = {is_share(history, layer, measure) for history in histories}
    if shares == {True}:
        if measure == "area":
            return Quantity("area/‖y‖²", measure)
        if measure != "alignment":
            return None  # a curve has an area; chance is not a finding of a run
        grids = [run.summary.axis(layer, measure).tolist() for run in runs]
        common = [tau for tau in grids[0] if all(tau in grid for grid in grids)]
        if not common:
            return None
        tau = common[len(common) // 2]
        return Quantity(f"A({tau:g})/‖y‖²", measure, tau)
    is_number = all(h.layers[layer][measure].ndim == h.loss.ndim for h in histories)
    return Quantity(measure, measure) if shares == {False} and is_number else None


def _row(runs: Sequence[NamedRun], layer: str, quantity: Quantity, step: int) -> Row:
    values = [_of_models(run, layer, quantity, step) for run in runs]
    first = values[0]
    found = [
        _difference(first, other, paired=is_paired(runs[0], run))
        for run, other in zip(runs[1:], values[1:], strict=True)
    ]
    return Row(quantity, layer, step, list(map(_mean, values)), found)


def _of_models(run: NamedRun, layer: str, quantity: Quantity, step: int) -> np.ndarray:
    """(models,) a quantity at a step; NaN of models that diverged."""
    history = run.summary.history
    measure = quantity.measure
    place = int(np.flatnonzero(history.steps_of(layer, measure) == step)[0])
    values = np.array(history.layers[layer][measure][place], float)
    if history.models is None:
        values = values[None]
    if is_share(history, layer, measure):
        if values.ndim > DIMENSIONS[measure]:
            values = values.mean(axis=-1)  # over targets
        values /= history.totals[layer]
    if quantity.tau is not None:
        values = values[:, run.summary.axis(layer, measure).tolist().index(quantity.tau)]
    values[run.summary.diverged] = np.nan
    return values


def _difference(first: np.ndarray, other: np.ndarray, *, paired: bool) -> Estimate:
    if paired:
        gains = _finite(other - first)
        return mean_interval(gains) if len(gains) > 1 else _alone(_mean(gains))
    before, after = _finite(first), _finite(other)
    if min(len(before), len(after)) > 1:
        return mean_difference(after, before)
    return _alone(_mean(after) - _mean(before))


def _alone(value: float) -> Estimate:
    return Estimate(value, np.nan, np.nan, 1)


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _mean(values: np.ndarray) -> float:
    finite = _finite(values)
    return float(finite.mean()) if len(finite) else np.nan


def _logged(run: NamedRun) -> str:
    layers = run.summary.history.layers
    names = dict.fromkeys(name for logged in layers.values() for name in logged)
    return f"{', '.join(names) or 'nothing'} of {', '.join(layers) or 'no layer'}"


def _notes(runs: Sequence[NamedRun], rows: Sequence[Row]) -> Iterator[str]:
    """What an interval is, and what is not alike in the runs."""
    first = runs[0]
    counts = [run.summary.history.models or 1 for run in runs]
    paired = [is_paired(first, run) for run in runs[1:]]
    if 1 in counts:
        yield "A run of one network has no interval: --seeds 8 trains eight as one program."
    if any(paired):
        yield (
            "Runs with the same seeds are compared seed by seed: intervals are those of the mean "
            "difference, by Student's t."
        )
    if not all(paired) and max(counts[1:]) > 1 and counts[0] > 1:
        yield "Runs with other seeds are compared by their means: intervals are Welch's."
    for run in runs:
        if run.summary.diverged:
            yield f"{len(run.summary.diverged)} models of {run.name} diverged and are left out."
        last = int(run.summary.history.step[-1])
        if any(row.step < last for row in rows):
            yield f"{run.name} goes on to step {last:,}."
    digests = {str(run.monitor.get("sha256")) for run in runs}
    if len(digests) > 1:
        yield "The runs were measured on other rows or targets."
    yield from _left_out(runs, rows)
    yield from _settings(runs)


def _left_out(runs: Sequence[NamedRun], rows: Sequence[Row]) -> Iterator[str]:
    """What some runs have and others have not."""
    each = [set(run.summary.history.layers) for run in runs]
    common = set.intersection(*each)
    for run, layers in zip(runs, each, strict=True):
        others = [layer for layer in run.summary.history.layers if layer in layers - common]
        if others:
            yield f"Not in all runs, and left out: {', '.join(others)} of {run.name}."
    logged = [{name for layer in run.summary.shares.values() for name in layer} for run in runs]
    compared = {row.quantity.measure for row in rows}
    if "alignment" in set.intersection(*logged) - compared:
        yield "A(τ) is left out: the runs have no threshold τ in common."


def _settings(runs: Sequence[NamedRun]) -> Iterator[str]:
    """The settings in which runs of `jaxalign train` differ."""
    settings = [run.settings for run in runs]
    for name in dict.fromkeys(name for each in settings for name in each):
        values = [str(each.get(name, "–")) for each in settings]
        if len(set(values)) > 1:
            yield f"{name}: {' | '.join(values)}"
