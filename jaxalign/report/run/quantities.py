"""What the tables of a run say of each layer: its alignment before training and after, and every
measure of the user's own.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import numpy as np

from jaxalign.report.run.summary import RunSummary
from jaxalign.statistics import Estimate

Kind = Literal["share", "area", "number"]
"""How it is written: in percent, with two decimals, or with as many digits as it needs."""


class Ends(NamedTuple):
    """A measure of one layer, before training and after.

    Attributes:
      untrained: at the first measured step. A number, or an array of which the range is told.
      trained: at the last one.
      chance: what it is by chance in the end, the mean over permutations of the targets; None where
        nobody knows.
    """

    untrained: Estimate
    trained: Estimate
    chance: float | None = None


class Quantity(NamedTuple):
    """A group of columns of a table.

    Attributes:
      name: its heading.
      kind: how it is written.
      layers: layer → Ends, of the layers that have it.
    """

    name: str
    kind: Kind
    layers: OrderedDict[str, Ends]

    @property
    def has_chance(self) -> bool:
        """Whether any layer says what chance gives."""
        return any(ends.chance is not None for ends in self.layers.values())

    @property
    def columns(self) -> int:
        """Untrained, trained and, where it is known, by chance."""
        return 2 + self.has_chance


def alignment_quantities(run: RunSummary, layers: Iterable[str]) -> list[Quantity]:
    """A(τ)/‖y‖² at the middle threshold, for every such τ there is, and the area over ‖y‖²."""
    # Layers measured on sets of different sizes have different thresholds.
    shares: OrderedDict[float, Quantity] = OrderedDict()
    area = Quantity("area/‖y‖²", "area", OrderedDict())
    for name in layers:
        tau = run.threshold(name)
        if tau is not None:
            empty = Quantity(f"A({tau:g})/‖y‖²", "share", OrderedDict())
            ends = _ends(run.at_threshold(name), run.chance(name))
            shares.setdefault(tau, empty).layers[name] = ends
        if "area" in run.shares[name]:
            area.layers[name] = _ends(run.shares[name]["area"], run.chance_area(name))
    return [quantity for quantity in (*shares.values(), area) if quantity.layers]


def other_quantities(run: RunSummary, layers: Iterable[str]) -> list[Quantity]:
    """Every measure of the user's own that is drawn: scalars, and of arrays with one named axis the
    range over it.
    """
    quantities = []
    for measure, names in scalars(run, layers).items():
        ends = OrderedDict((name, _ends(run.others[name][measure])) for name in names)
        quantities.append(Quantity(measure, "number", ends))
    for (measure, axis), names in arrays(run, layers).items():
        ends = OrderedDict((name, _array_ends(run.others[name][measure])) for name in names)
        quantities.append(Quantity(f"{measure}, range over {axis}", "number", ends))
    return quantities


def scalars(run: RunSummary, layers: Iterable[str]) -> OrderedDict[str, list[str]]:
    """The user's measures that are numbers: measure → the layers that have it."""
    layers_by_measure: OrderedDict[str, list[str]] = OrderedDict()
    for layer in layers:
        for measure, values in run.others[layer].items():
            if values.value.ndim == 1:
                layers_by_measure.setdefault(measure, []).append(layer)
    return layers_by_measure


def arrays(run: RunSummary, layers: Iterable[str]) -> OrderedDict[tuple[str, str], list[str]]:
    """The user's measures that are arrays over one named axis: (measure, axis) → its layers."""
    layers_by_measure: OrderedDict[tuple[str, str], list[str]] = OrderedDict()
    for layer in layers:
        for measure, values in run.others[layer].items():
            axes = list(run.history.coordinates.get(layer, {}).get(measure, {}))
            if values.value.ndim == 2 and len(axes) == 1:
                layers_by_measure.setdefault((measure, axes[0]), []).append(layer)
    return layers_by_measure


def not_drawn(run: RunSummary) -> list[str]:
    """The user's measures that are in the folder alone, for their axes are several or unnamed."""
    layers = run.history.layers
    drawn = {*scalars(run, layers), *(measure for measure, _ in arrays(run, layers))}
    names = [measure for measures in run.others.values() for measure in measures]
    return [name for name in dict.fromkeys(names) if name not in drawn]


def with_interval(estimate: Estimate, shown: Callable[[float], str]) -> str:
    """An Estimate for people: "0.59", or of several models "0.59 [0.57, 0.61]"; of an array its
    range, "0.1 … 0.9".
    """
    if np.ndim(estimate.value):
        return f"{shown(np.min(estimate.value))} … {shown(np.max(estimate.value))}"
    value, low, high = map(shown, estimate[:3])
    if estimate.n == 1:
        return value
    return f"{value} [{low}, {high}]"


def plain_number(value: float) -> str:
    """A number of unknown size: four digits, or all of a count."""
    if np.isnan(value):
        return "NaN"
    if float(value).is_integer() and abs(value) < 1e7:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _ends(values: Estimate, chance: np.ndarray | None = None) -> Ends:
    untrained = values.map(lambda rows: float(rows[0]))
    trained = values.map(lambda rows: float(rows[-1]))
    if chance is None:
        return Ends(untrained, trained)
    return Ends(untrained, trained, float(chance[-1]))


def _array_ends(values: Estimate) -> Ends:
    # The interval of a range is not the range of intervals, so an array has none.
    untrained, *_, trained = (Estimate(row, row, row, 1) for row in values.value[[0, -1]])
    return Ends(untrained, trained)
