"""Parts of the table of depth: a row per seed, a column per depth."""

import numpy as np
from pandas import DataFrame

from jaxalign._features import INPUT
from jaxalign.studies.shared.ranks import rank_correlation


def last_layer(table: DataFrame) -> DataFrame:
    """The rows of last hidden layers."""
    return table[table["position"] == table["depth"]]


def hidden_layers(table: DataFrame) -> DataFrame:
    """The rows of all hidden layers."""
    return table[table["layer"] != INPUT]


def by_depth(table: DataFrame, value: str) -> DataFrame:
    """(seeds, depths) a value, the mean over the layers in the table; depths rise."""
    return table.groupby(["seed", "depth"])[value].mean().unstack("depth")


def rank_correlations(share: DataFrame) -> np.ndarray:
    """(seeds,) Spearman's ρ of depth and share (seeds, depths)."""
    return np.array([rank_correlation(share.columns, of_seed) for of_seed in share.to_numpy()])
