"""A run as everything that shows it needs it: medians over its models, in units of ‖y‖²."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxalign.runs import History, is_input
from jaxalign.statistics import Estimate, median_interval

DIMENSIONS = {"alignment": 2, "area": 1, "curve": 2, "null_area": 1, "null_curve": 2}
"""What a monitor takes by default, A(τ) and its integral, and the number of axes each has over
steps.
"""

ROWS = 2000
"""So many rows of a measure are shown at most: more than a picture has pixels."""

Measures = OrderedDict[str, OrderedDict[str, Estimate]]
"""Layer → measure → its values over the measured steps, (r, ...)."""


@dataclass(frozen=True)
class RunSummary:
    """Every measure of a run as an Estimate: over several models the median and its 95 % interval,
    of one model (n = 1) the value three times. Models that diverged are left out, unless all did.
    Of a long run measures have ``ROWS`` rows, spread evenly on a logarithmic scale.

    Attributes:
      history: what the run logged.
      diverged: the positions of the models that diverged, of several.
      loss: (t,) on the training batches.
      metrics: name → (t,).
      shares: layer → measure, of those a monitor takes by default: "alignment", "area", "curve",
        "null_area" and "null_curve", over ‖y‖².
      others: layer → measure, of whatever else was logged, in its own units.
    """

    history: History
    diverged: list[int]
    loss: Estimate
    metrics: dict[str, Estimate]
    shares: Measures
    others: Measures

    @property
    def monitors(self) -> dict[str, list[str]]:
        """The layers by the monitor they belong to: the "train" of "train/hidden_1", or ""."""
        return by_monitor(list(self.history.layers))

    def monitor_of(self, layer: str) -> str:
        """The name of the monitor that measures a layer."""
        return next(monitor for monitor, names in self.monitors.items() if layer in names)

    def own_name(self, layer: str) -> str:
        """The name of a layer in its model: "hidden_1" of "train/hidden_1"."""
        return layer.removeprefix(f"{self.monitor_of(layer)}/")

    @property
    def headline_layers(self) -> list[str]:
        """The layers of the first monitor that logs an alignment, in the order they run; empty
        where none does.
        """
        groups = ([name for name in names if self.shares[name]] for names in self.monitors.values())
        return next((names for names in groups if names), [])

    @property
    def headline(self) -> str | None:
        """The layer to speak of first, the most aligned one; None where no alignment was logged."""
        if not self.headline_layers:
            return None
        return self.most_aligned(self.headline_layers)

    def most_aligned(self, names: list[str]) -> str:
        """Of layers that have an alignment the one with the largest area in the end or, of a run
        that diverged, before it did. Inputs count where there is nothing else; where an area is
        missing, it is the last layer.
        """
        candidates = [name for name in names if not is_input(name)] or names
        if not all("area" in self.shares[name] for name in candidates):
            return candidates[-1]
        areas = np.stack([self.shares[name]["area"].value for name in candidates])
        known = np.flatnonzero(np.isfinite(areas).all(axis=0))
        if known.size == 0:
            return candidates[-1]
        return candidates[int(np.argmax(areas[:, known[-1]]))]

    def steps_of(self, layer: str, measure: str) -> np.ndarray:
        """(r,) the steps of a measure's rows."""
        steps = self.history.steps_of(layer, measure)
        return steps[rows_shown(len(steps))]

    def axis(self, layer: str, measure: str, name: str = "tau") -> np.ndarray:
        """The values along a named axis of a measure."""
        return np.asarray(self.history.coordinates[layer][measure][name])

    def threshold(self, layer: str) -> float | None:
        """The τ that stands for all in a headline: the middle one; None without "alignment"."""
        if "alignment" not in self.shares[layer]:
            return None
        thresholds = self.axis(layer, "alignment")
        return float(thresholds[len(thresholds) // 2])

    def at_threshold(self, layer: str) -> Estimate:
        """(r,) A(τ)/‖y‖² at the middle threshold."""
        middle = len(self.axis(layer, "alignment")) // 2
        return self.shares[layer]["alignment"].map(lambda values: values[:, middle])

    def chance(self, layer: str) -> np.ndarray | None:
        """(r,) what A(τ)/‖y‖² is by chance at the middle threshold, read off the grid; None where
        the run has no null.
        """
        tau = self.threshold(layer)
        if tau is None or "null_curve" not in self.shares[layer]:
            return None
        grid = self.axis(layer, "null_curve")
        curves = self.shares[layer]["null_curve"].value
        return np.array([np.interp(tau, grid, curve) for curve in curves])

    def chance_area(self, layer: str) -> np.ndarray | None:
        """(r,) what the area over ‖y‖² is by chance; None where the run has no null."""
        if "null_area" not in self.shares[layer]:
            return None
        return self.shares[layer]["null_area"].value


def summarize(history: History) -> RunSummary:
    """The RunSummary of a history, also of a part of one. Of measures that are mapped from files
    the rows that are shown are read, and no others.
    """
    lost = diverged(history)
    models: Any = slice(None)
    if 0 < len(lost) < (history.models or 0):
        models = [model for model in range(history.models or 0) if model not in lost]
    several = history.models is not None

    def counted(values: np.ndarray) -> np.ndarray:
        return values[:, models] if several else values

    shares: Measures = OrderedDict((layer, OrderedDict()) for layer in history.layers)
    others: Measures = OrderedDict((layer, OrderedDict()) for layer in history.layers)
    for layer, measures in history.layers.items():
        for measure, logged in measures.items():
            values = counted(_shown(logged))
            if is_share(history, layer, measure):
                in_units = mean_over_targets(measure, values, several) / history.totals[layer]
                shares[layer][measure] = _estimate(in_units, several)
            else:
                others[layer][measure] = _estimate(values, several)
    metrics = {
        name: _estimate(counted(values), several) for name, values in history.metrics.items()
    }
    loss = _estimate(counted(history.loss), several)
    return RunSummary(history, lost, loss, metrics, shares, others)


def rows_shown(count: int) -> np.ndarray:
    """The rows of a measure that are shown of so many: all or, evenly on a logarithmic scale since
    most happens early, ``ROWS`` at most, with the first and the last.
    """
    return evenly_in_log(count, ROWS)


def evenly_in_log(count: int, most: int) -> np.ndarray:
    """Row numbers from the first to the last, at most so many, spread on a logarithmic scale.

    Example:
      >>> evenly_in_log(4, 10), evenly_in_log(1000, 5)
      (array([0, 1, 2, 3]), array([  0,   5,  31, 177, 999]))
    """
    if count <= most:
        return np.arange(count)
    return np.unique(np.round(np.expm1(np.linspace(0, np.log1p(count - 1), most))).astype(int))


def diverged(history: History) -> list[int]:
    """Which of several models have a loss or, in a row that is shown, an alignment that is not
    finite.
    """
    if history.models is None:
        return []
    finite = np.isfinite(history.loss).all(axis=0)
    for layer, measures in history.layers.items():
        for measure, values in measures.items():
            # A user's measure may be infinite or NaN and mean it.
            if is_share(history, layer, measure):
                by_model = np.moveaxis(_shown(values), 1, 0).reshape(history.models, -1)
                finite &= np.isfinite(by_model).all(axis=1)
    return np.flatnonzero(~finite).tolist()


def by_monitor(layers: list[str]) -> dict[str, list[str]]:
    """Layers grouped by what comes before the first slash, if all have one; else all under "".

    Example:
      >>> by_monitor(["train/input", "train/logits", "held_out/logits"])
      {'train': ['train/input', 'train/logits'], 'held_out': ['held_out/logits']}
      >>> by_monitor(["input", "block/logits"])
      {'': ['input', 'block/logits']}
    """
    if not all("/" in name for name in layers):
        return {"": layers}
    groups: dict[str, list[str]] = {}
    for name in layers:
        groups.setdefault(name.partition("/")[0], []).append(name)
    return groups


def of_result(result: Mapping[str, Any], name: str) -> Estimate | None:
    """A number of result.json, or, of several models, the median of theirs and its interval; None
    of what is not a number: a user may have written anything by that name.
    """
    value = result.get(name)
    each = value if isinstance(value, list) else [value]
    if not each or not all(isinstance(number, int | float) for number in each):
        return None
    if isinstance(value, list):
        return median_interval(value)
    return Estimate(value, value, value, 1)


def _shown(values: np.ndarray) -> np.ndarray:
    """The rows that are shown, and half precision as float32, which numpy computes with."""
    rows = values[rows_shown(len(values))]
    if jax.dtypes.issubdtype(rows.dtype, np.floating) and rows.dtype.itemsize < 4:
        return rows.astype(np.float32)
    return rows


def is_share(history: History, layer: str, measure: str) -> bool:
    """Whether it is one of the measures a monitor takes by default, by name and by axes."""
    axes = history.coordinates.get(layer, {}).get(measure, {})
    # What has a second axis has it over τ; a user may have logged something else by that name.
    return measure in DIMENSIONS and (DIMENSIONS[measure] == 1 or "tau" in axes)


def mean_over_targets(measure: str, values: np.ndarray, several: bool) -> np.ndarray:
    """The mean over columns of targets, of a monitor that keeps them apart."""
    if values.ndim > DIMENSIONS[measure] + several:
        return values.mean(axis=-1)
    return values


def _estimate(values: np.ndarray, several: bool) -> Estimate:
    """The median over the second axis, that of the models; NaN where one of them is not finite."""
    values = np.asarray(values)
    if not several:
        return Estimate(values, values, values, 1)
    models = np.moveaxis(values, 1, 0)
    unknown = ~np.isfinite(models).all(axis=0)
    estimate = median_interval(np.where(unknown, 0, models))
    return estimate.map(lambda end: np.where(unknown, np.nan, end).astype(np.float32))
