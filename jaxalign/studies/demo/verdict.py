"""The verdict on the demo: trained curves against untrained ones, chance and the figure."""

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

import numpy as np
from pandas import DataFrame, Series
from scipy import stats

from jaxalign.statistics import Paired, holm, paired_effect
from jaxalign.studies.demo.published import CIFAR, FALLS, LAYERS, READ, READING_ERROR, TAU
from jaxalign.studies.framework.study import Outcome, Verdict

LAST = LAYERS[-1]
LEVEL = 0.05
DECIDING = 5.0
"""The threshold τ whose effect is the verdict's."""
NOTHING = 0.01
"""A curve under this share of ‖y‖² has fallen to 0."""


class Comparison(NamedTuple):
    """The trained last hidden layer at one τ, compared with a reference of the same seeds."""

    data: str
    tau: float
    reference: str
    effect: Paired

    def __str__(self) -> str:
        gain = self.effect.difference
        return (
            f"{self.data}: {LAST} at τ = {self.tau:g}, trained − {self.reference}: "
            f"{gain.value:.3f} [{gain.low:.3f}, {gain.high:.3f}]"
        )


def verdict_of(table: DataFrame, missing: str) -> Verdict:
    """Holds if the trained last hidden layer lies above both references at every τ, and CIFAR-10
    gives what was read off the figure.

    Args:
      table: of the study.
      missing: the note for a table without CIFAR-10.
    """
    data = table["data"].unique()
    compared = comparisons(table)
    adjusted = holm([comparison.effect.p for comparison in compared])
    failing = [
        str(comparison)
        for comparison, p in zip(compared, adjusted, strict=True)
        if not (comparison.effect.difference.value > 0 and p < LEVEL)
    ]
    tested = len(compared)
    if CIFAR in data:
        failing += unlike_figure(table[table["data"] == CIFAR])
        tested += len(READ) * len(TAU)
    # Of two data sets the last one decides, which is that of the figure.
    deciding = next(
        comparison
        for comparison in reversed(compared)
        if comparison.tau == DECIDING and comparison.reference == "untrained"
    )
    effect = deciding.effect.difference
    outcome: Outcome = "holds in part" if failing else "holds"
    if len(failing) == tested or effect.low <= 0:
        outcome = "does not hold"
    of = f"A({DECIDING:g})/‖y‖² of {LAST} on {deciding.data}, trained − untrained"
    notes = [note for name in data for note in _notes(name, table[table["data"] == name])]
    if CIFAR not in data:
        notes.append(missing)
    return Verdict(outcome, effect, of, failing, tested, notes)


def comparisons(table: DataFrame) -> list[Comparison]:
    """The last hidden layer against the untrained network and random targets, at every τ read."""
    last = table[table["layer"] == LAST]
    at = dict(list(last.groupby(["data", "tau"])))
    cases = product(table["data"].unique(), ("untrained", "chance_trained"), TAU)
    return [
        Comparison(
            data,
            tau,
            reference,
            paired_effect(at[data, tau]["trained"], at[data, tau][reference]),
        )
        for data, reference, tau in cases
    ]


def unlike_figure(table: DataFrame) -> list[str]:
    """The values of the figure outside the 95 % interval of a new run, widened by reading error."""
    at = dict(list(table.groupby(["layer", "tau"])["trained"]))
    outside = []
    for layer, values in READ.items():
        for tau, value in zip(TAU, values, strict=True):
            shares = at[layer, tau].to_numpy()
            n = len(shares)
            # Prediction interval of one more run: x̄ ± t_{n−1}·s·√(1 + 1/n).
            spread = shares.std(ddof=1) * (1 + 1 / n) ** 0.5
            half = stats.t.ppf(0.975, n - 1) * spread + READING_ERROR
            if abs(shares.mean() - value) > half:
                outside.append(
                    f"{CIFAR}: {layer} at τ = {tau:g}: {shares.mean():.3f} ± {half:.3f}, "
                    f"read {value:.3f}"
                )
    return outside


def fall(table: DataFrame, layer: str) -> float:
    """The first τ measured at which the mean trained curve of a layer has fallen to 0."""
    mean = table[table["layer"] == layer].groupby("tau")["trained"].mean()
    fallen = mean.index[mean < NOTHING]
    return fallen[0] if len(fallen) else np.inf


def _notes(data: str, table: DataFrame) -> list[str]:
    # (thresholds, layers)
    mean = table.pivot_table(index="tau", columns="layer", values="trained").loc[list(TAU)]
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
