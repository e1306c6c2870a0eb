"""Gains of a trained representation over a reference, in alignment and in transfer."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from pandas import DataFrame

Reference = Literal["input", "untrained"]
Measure = Literal["speed", "accuracy"]
REFERENCES: tuple[Reference, ...] = ("input", "untrained")
MEASURES: tuple[Measure, ...] = ("speed", "accuracy")
NAMES: dict[Reference, str] = {"input": "the raw input", "untrained": "the untrained network"}


class Gains(NamedTuple):
    """What a trained representation has over a reference, for s networks and k targets.

    Attributes:
      dials: how far each target is from the source.
      alignment: area/(‖y‖²√n), trained − reference.
      transfer: speed: mean log-loss of the head while it is trained, reference − trained, in nats;
        accuracy: share of test points, trained − reference.
    """

    dials: Float[np.ndarray, " k"]
    alignment: Float[np.ndarray, "s k"]
    transfer: Float[np.ndarray, "s k"]


def gains(
    table: DataFrame, problem: str, layer: str, reference: Reference, measure: Measure
) -> Gains:
    """The gains of one problem and layer."""
    rows = table[(table["problem"] == problem) & (table["layer"] == layer)]
    # In the order of the table: the draws of null_correlations depend on it.
    targets = rows["target"].unique()
    dials = rows.drop_duplicates("target")["dial"].to_numpy()

    def over(quantity):
        gain = rows[f"{quantity}_trained"] - rows[f"{quantity}_{reference}"]
        by_network = rows.assign(gain=gain).pivot(index="seed", columns="target", values="gain")
        return by_network[targets].to_numpy()

    transfer = -over("loss") if measure == "speed" else over("accuracy")
    return Gains(dials, over("area"), transfer)


def around_levels(gains: Gains) -> Gains:
    """Both gains without their mean over each level of the dial."""
    # Dials of one level can differ in rounding.
    level = np.round(gains.dials, 6)

    def around(values):
        means = [values[:, level == one].mean() for one in level]
        return values - np.array(means)

    return Gains(gains.dials, around(gains.alignment), around(gains.transfer))
