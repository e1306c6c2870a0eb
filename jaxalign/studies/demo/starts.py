"""What the initial weights do to alignment: their scale, and LeCun's against the notebook's."""

from functools import partial

import numpy as np
from pandas import DataFrame, Series, concat

from jaxalign.statistics import Interval, mean_difference, mean_interval
from jaxalign.studies.demo.curves import (
    DECIDING,
    LECUN,
    TORCH,
    from_start,
    mean_share,
    read_off,
)
from jaxalign.studies.demo.published import CIFAR, HIDDEN, LAST, LAYERS, READ, READING_ERROR

SHOWN = 3
"""So many of the values that are missed are named."""


def other_starts(data: str, table: DataFrame) -> dict[str, Interval]:
    """Whether training aligns whatever the initial weights; smaller ones align more; and LeCun's
    are farther from the figure than the notebook's.

    Args:
      data: the data set of the table.
      table: its networks, from all initial weights.
    """
    effects: dict[str, Interval] = {
        f"{data}: {LAST} at τ = {DECIDING:g} from {_words(*start)}, trained − untrained": partial(
            mean_interval, _gain(from_start(table, *start)), within=(-1, 1)
        )
        for start in starts(table)
        if start != (TORCH, 1.0)
    }
    scales = scales_of(table)
    if len(scales) > 1:
        smallest, largest = (from_start(table, TORCH, scale) for scale in (scales[0], scales[-1]))
        for layer in HIDDEN:
            name = f"{data}: {layer}'s mean share, scale {scales[0]:g} − scale {scales[-1]:g}"
            effects[name] = partial(
                mean_difference, *(_mean_share(rows, layer) for rows in (smallest, largest))
            )
    if data == CIFAR and (LECUN, 1.0) in starts(table):
        name = f"{data}: mean distance from the figure's hidden values, {LECUN} − {TORCH}"
        effects[name] = partial(
            mean_difference, *(_distances(from_start(table, start)) for start in (LECUN, TORCH))
        )
    return effects


def starts_notes(data: str, table: DataFrame) -> list[str]:
    """The mean shares by scale, and how many of the figure's values come out."""
    notes = []
    scales = scales_of(table)
    if len(scales) > 1:
        shares = "; ".join(
            f"{layer} {' '.join(_of_1000(table, layer, scale) for scale in scales)}"
            for layer in HIDDEN
        )
        notes.append(
            f"{data}, mean of the trained curve over τ from 0 to 30, of 1000, from "
            f"{', '.join(f'{scale:g}' for scale in scales)} times {TORCH}'s initial weights "
            f"(untrained in brackets): {shares}."
        )
    if data == CIFAR:
        for start in (TORCH, LECUN):
            rows = from_start(table, start)
            if len(rows):
                notes.append(_met(start, rows))
        notes.append(
            f"Where networks differ by more than ±{READING_ERROR:g}, no number of them puts a new "
            "run within it: such cells stay undecided."
        )
    return notes


def _met(start: str, table: DataFrame) -> str:
    """How many of the figure's values networks give, and their means, in words."""
    off = {layer: _off(table, layer) for layer in LAYERS}
    gaps = concat({layer: _outside(values) for layer, values in off.items()})
    outside = gaps[gaps > 0].nlargest(SHOWN)
    met = (gaps <= 0).sum()
    by_means = sum((abs(values.mean()) <= READING_ERROR).sum() for values in off.values())
    most = "; ".join(
        f"{layer} at τ = {tau:g} by {gap:.4f}" for (layer, tau), gap in outside.items()
    )
    return (
        f"From {start}'s initial weights {met} of the figure's {len(gaps)} values lie within the "
        f"range of {table['seed'].nunique()} networks, ±{READING_ERROR:g}, and {by_means} within "
        f"±{READING_ERROR:g} of their mean. The farthest outside: {most or 'none'}."
    )


def _outside(off: DataFrame) -> Series:
    """(thresholds,) by how much the figure lies outside the range of networks and its own error."""
    return np.maximum(off.min(), -off.max()) - READING_ERROR


def starts(table: DataFrame) -> list[tuple[str, float]]:
    """The initial weights of the table, as (name, scale)."""
    rows = table[["initialization", "scale"]].drop_duplicates()
    return [(name, float(scale)) for name, scale in rows.itertuples(index=False)]


def scales_of(table: DataFrame) -> list[float]:
    """The scales of torch's initial weights in the table, ascending."""
    return sorted(scale for name, scale in starts(table) if name == TORCH)


def _words(name: str, scale: float) -> str:
    return name if scale == 1 else f"{scale:g} × {name}"


def _gain(table: DataFrame) -> Series:
    """(networks,) what training adds to the last hidden layer at the threshold that decides."""
    layer = table[table["layer"] == LAST]
    return (read_off(layer, "trained") - read_off(layer, "untrained"))[DECIDING]


def _mean_share(table: DataFrame, layer: str, column: str = "trained") -> Series:
    return mean_share(table[table["layer"] == layer], column)


def _of_1000(table: DataFrame, layer: str, scale: float) -> str:
    rows = from_start(table, TORCH, scale)
    trained, untrained = (
        _mean_share(rows, layer, column).mean() for column in ("trained", "untrained")
    )
    return f"{1000 * trained:.0f} ({1000 * untrained:.0f})"


def _off(table: DataFrame, layer: str) -> DataFrame:
    """(networks, thresholds) the trained values less those of the figure."""
    return read_off(table[table["layer"] == layer], "trained") - np.array(READ[layer])


def _distances(table: DataFrame) -> np.ndarray:
    """(networks,) the mean distance of the hidden layers' values from the figure's."""
    return np.mean([abs(_off(table, layer)).mean(axis=1) for layer in HIDDEN], axis=0)
