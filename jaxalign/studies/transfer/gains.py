"""Gains of a frozen representation over a reference, in alignment and in transfer."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pandas import DataFrame

Reference = Literal["scratch", "untrained", "input"]
Measure = Literal["accuracy", "loss"]
NAMES: Mapping[Reference, str] = MappingProxyType(
    {
        "scratch": "training from scratch",
        "untrained": "the untrained network",
        "input": "the raw input",
    }
)


def gains(
    table: DataFrame, problem: str, reference: Reference, measure: Measure = "accuracy"
) -> DataFrame:
    """What representations have over a reference: a row per network, target and length of training.

    The columns are those of the table, and

      network: the unit.
      alignment: area/(‖y‖²√n), frozen − reference. Training from scratch begins with the untrained
        network, so there it is that one's.
      transfer: test accuracy, frozen − reference; or the head's mean log-loss while it learns,
        reference − frozen, in nats, which training from scratch has not.
    """
    rows = table[table["problem"] == problem]
    aligned = "untrained" if reference == "scratch" else reference
    gain = rows[f"{measure}_frozen"] - rows[f"{measure}_{reference}"]
    return rows.assign(
        network=rows["source"] + " " + rows["seed"].astype(str),
        # Dials of one level can differ in rounding.
        dial=rows["dial"].round(6),
        alignment=rows["area_frozen"] - rows[f"area_{aligned}"],
        transfer=gain if measure == "accuracy" else -gain,
    )
