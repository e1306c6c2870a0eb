"""Parts of the table of depth, as arrays (seeds, depths)."""

import numpy as np
from pandas import DataFrame

from jaxalign._features import INPUT


def last_layer(table: DataFrame) -> DataFrame:
    """The rows of last hidden layers."""
    return table[table["position"] == table["depth"]]


def hidden_layers(table: DataFrame) -> DataFrame:
    """The rows of all hidden layers."""
    return table[table["layer"] != INPUT]


def by_depth(table: DataFrame, value: str) -> np.ndarray:
    """(seeds, depths) a value, the mean over the layers in the table; depths rise."""
    return table.groupby(["seed", "depth"])[value].mean().unstack("depth").to_numpy()
