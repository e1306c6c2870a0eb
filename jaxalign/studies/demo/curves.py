"""The study's curves, read as the authors' figure is: on straight lines between its thresholds."""

from collections.abc import Callable, Mapping

import numpy as np
from pandas import DataFrame, Series

from jaxalign.models import Initialization, lecun_normal, torch_uniform
from jaxalign.studies.demo.published import TAU

DECIDING = 5.0
"""The threshold, one of TAU, at which networks are compared with themselves untrained."""
TORCH = "torch"
"""The initial weights of the notebook, at scale 1."""
LECUN = "LeCun"
INITIALIZATIONS: Mapping[str, Callable[[float], Initialization]] = {
    TORCH: torch_uniform,
    LECUN: lecun_normal,
}
"""Name in the table → initial weights of a scale."""


def from_start(table: DataFrame, initialization: str = TORCH, scale: float = 1.0) -> DataFrame:
    """The rows of the networks that began with these weights, by default those of the notebook."""
    return table[(table["initialization"] == initialization) & (table["scale"] == scale)]


def read_off(table: DataFrame, column: str) -> DataFrame:
    """The values of one layer's curves at TAU, as (networks, thresholds)."""
    curves = _curves(table, column)
    values = [np.interp(TAU, curves.columns, curve) for curve in curves.to_numpy()]
    return DataFrame(values, index=curves.index, columns=list(TAU))


def mean_share(table: DataFrame, column: str) -> Series:
    """(networks,) the mean of one layer's curve over all thresholds: its area over their range."""
    curves = _curves(table, column)
    thresholds = curves.columns.to_numpy(float)
    area = np.trapezoid(curves.to_numpy(), thresholds, axis=1)
    return Series(area / np.ptp(thresholds), index=curves.index)


def _curves(table: DataFrame, column: str) -> DataFrame:
    return table.pivot_table(index="seed", columns="tau", values=column)
