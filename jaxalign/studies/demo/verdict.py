"""The verdict on the demo: trained curves against untrained ones, chance and the figure."""

from collections.abc import Mapping
from functools import partial

import numpy as np
from pandas import DataFrame, Series

from jaxalign.statistics import Estimate, Interval, margin, mean_interval
from jaxalign.studies.demo.curves import DECIDING, from_start, read_off
from jaxalign.studies.demo.published import CIFAR, FALLS, LAST, LAYERS, READ, READING_ERROR, TAU
from jaxalign.studies.demo.starts import other_starts, starts_notes
from jaxalign.studies.framework.verdict import Verdict, judged

REFERENCES = {"untrained": "untrained", "random targets": "chance"}
"""What the trained layer is compared with → its column."""
LEVEL = 0.05
NOTHING = 0.01
"""A curve under this share of ‖y‖² has fallen to 0."""


def verdict_of(table: DataFrame, missing: str) -> Verdict:
    """Whether the trained last hidden layer lies above both references at every τ, CIFAR-10 gives
    what was read off the figure, and other initial weights are aligned too.

    Args:
      table: of the study.
      missing: the note for a table without CIFAR-10.
    """
    recipe = dict(list(from_start(table).groupby("data", sort=False)))
    # Of two data sets the last one decides, which is that of the figure.
    *_, last = recipe
    effects: dict[str, Interval] = {}
    for data, of_data in recipe.items():
        effects |= comparisons(data, of_data)
    if CIFAR in recipe:
        effects |= figure_margins(recipe[CIFAR])
    effects |= other_starts(last, table[table["data"] == last])
    notes = [note for data, of_data in recipe.items() for note in _notes(data, of_data)]
    if CIFAR not in recipe:
        notes.append(missing)
    return Verdict(
        effects[_name(last, DECIDING, "untrained")](confidence=1 - LEVEL),
        f"A({DECIDING:g})/‖y‖² of {LAST} on {last}, trained − untrained",
        "networks",
        judged(effects, level=LEVEL),
        notes + starts_notes(last, table[table["data"] == last]),
    )


def comparisons(data: str, table: DataFrame) -> dict[str, Interval]:
    """The trained last hidden layer less the untrained one, and less random targets, at every τ
    read.
    """
    layer = table[table["layer"] == LAST]
    gains = {
        reference: read_off(layer, "trained") - read_off(layer, column)
        for reference, column in REFERENCES.items()
    }
    return {
        _name(data, tau, reference): partial(mean_interval, gain[tau], within=(-1, 1))
        for reference, gain in gains.items()
        for tau in TAU
    }


def figure_margins(table: DataFrame) -> dict[str, Interval]:
    """By how much a new run stays within the reading error of each value of the figure."""
    return {
        f"{CIFAR}: {layer} at τ = {tau:g}, read {value:.3f}, within ±{READING_ERROR:g}": partial(
            margin, partial(new_run, values[tau], value), READING_ERROR
        )
        for layer, values in _by_layer(table).items()
        for tau, value in zip(TAU, READ[layer], strict=True)
    }


def new_run(shares: Series, read: float, *, confidence: float) -> Estimate:
    """A share less the one read, with the interval of one more run, x̄ ± t_{n−1}·s·√(1 + 1/n).

    What of the interval is outside 0 ... 1, where shares lie, is cut off.
    """
    mean = mean_interval(shares, confidence=confidence)
    # The interval of the mean has s/√n in place of s·√(1 + 1/n).
    half = (mean.high - mean.value) * (mean.n + 1) ** 0.5
    low, high = max(mean.value - half, 0.0), min(mean.value + half, 1.0)
    return Estimate(mean.value - read, low - read, high - read, mean.n)


def _name(data: str, tau: float, reference: str) -> str:
    return f"{data}: {LAST} at τ = {tau:g}, trained − {reference}"


def fall(table: DataFrame, layer: str) -> float:
    """The first τ measured at which the mean trained curve of a layer has fallen to 0."""
    mean = table[table["layer"] == layer].groupby("tau")["trained"].mean()
    fallen = mean.index[mean < NOTHING]
    return fallen[0] if len(fallen) else np.inf


def _by_layer(table: DataFrame) -> dict[str, DataFrame]:
    """Layer → its trained values at TAU, (networks, thresholds)."""
    return {layer: read_off(table[table["layer"] == layer], "trained") for layer in LAYERS}


def _notes(data: str, table: DataFrame) -> list[str]:
    # (thresholds, layers)
    mean = DataFrame({layer: values.mean() for layer, values in _by_layer(table).items()})
    values = "; ".join(
        f"{layer} {' '.join(f'{1000 * share:.0f}' for share in mean[layer])}" for layer in LAYERS
    )
    in_order = (mean["hidden_3"] >= mean["hidden_2"]) & (mean["hidden_2"] >= mean["hidden_1"])
    above_inputs = mean["hidden_1"] > mean["input"]
    falls = {layer: fall(table, layer) for layer in LAYERS}
    return [
        f"{data}, trained, of 1000, at τ = {', '.join(f'{tau:g}' for tau in TAU)}: {values}.",
        f"{data}: the later hidden layer is the higher one {_places(in_order)} "
        "(in the figure at every τ of the table); hidden_1 lies above the input "
        f"{_places(above_inputs)} (in the figure at all but 13, before which they cross).",
        f"{data}: the curves fall to 0 in the order {_order(falls)} "
        f"(in the figure: {_order(FALLS)}).",
    ]


def _order(falls: Mapping[str, float]) -> str:
    layers = sorted(falls, key=falls.__getitem__)
    return ", ".join(f"{layer} (τ = {falls[layer]:.3g})" for layer in layers)


def _places(holds: Series) -> str:
    """The thresholds, the index, at which something holds, in words."""
    if holds.all():
        return "at every τ of the table"
    if not holds.any():
        return "at no τ of the table"
    return f"at τ = {', '.join(f'{tau:g}' for tau in holds.index[holds])} alone"
