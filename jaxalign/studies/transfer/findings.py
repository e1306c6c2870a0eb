"""What each part of the transfer study says: how gains go together, and which sign transfer has."""

from functools import partial
from typing import NamedTuple

import numpy as np
from pandas import DataFrame, Series

from jaxalign.statistics import Interval, mean_interval
from jaxalign.studies.transfer.gains import NAMES, Reference, gains


class Finding(NamedTuple):
    """What one problem says over one reference.

    Attributes:
      problem: its name.
      reference: what gains are over.
      gains: of every network, target and length of training.
    """

    problem: str
    reference: Reference
    gains: DataFrame

    def claims(self) -> dict[str, Interval]:
        """The three effects that are above 0 where the claim is met, by name."""
        name = f"{self.problem}, over {NAMES[self.reference]}"
        dials = self.gains["dial"]
        return {
            f"{name}: ρ of both gains": correlation(self.gains),
            f"{name}: transfer at dial 0": partial(
                mean_interval, transfer_at(self.gains, dials.min())
            ),
            f"{name}: −transfer at dial 1": partial(
                mean_interval, -transfer_at(self.gains, dials.max())
            ),
        }


def findings_of(table: DataFrame) -> list[Finding]:
    """Of every problem and reference, in accuracy."""
    return [
        Finding(problem, reference, gains(table, problem, reference))
        for problem in table["problem"].unique()
        for reference in NAMES
    ]


def correlation(gains: DataFrame) -> Interval:
    """Spearman's ρ of both gains in a network, over targets and lengths of training; mean over
    networks, which are independent, as the targets of one are not.
    """
    return partial(mean_interval, _rho(gains, ["network"]).to_numpy(), within=(-1, 1))


def correlation_at_targets(gains: DataFrame) -> Interval:
    """The same over lengths of training alone, mean over targets: what the distance of tasks cannot
    explain. A reference is one number there, so ρ is the same over each.
    """
    rho = _rho(gains, ["network", "target"]).groupby("network").mean()
    return partial(mean_interval, rho.to_numpy(), within=(-1, 1))


def transfer_at(gains: DataFrame, dial: float, by: str = "network") -> Series:
    """Mean transfer to the targets at a level of the dial, of networks trained longest."""
    rows = gains[(gains["dial"] == dial) & (gains["steps"] == gains["steps"].max())]
    return rows.groupby(by, sort=False)["transfer"].mean()


def agreement(gains: DataFrame) -> tuple[float, float]:
    """The share of rows whose gains have the same sign, and that share if the signs were
    independent; a gain of exactly 0 counts as none.
    """
    aligned = (gains["alignment"] > 0).to_numpy()
    positive = (gains["transfer"] > 0).to_numpy()
    a = aligned.mean()
    t = positive.mean()
    return float((aligned == positive).mean()), float(a * t + (1 - a) * (1 - t))


def _rho(gains: DataFrame, by: list[str]) -> Series:
    """Spearman's ρ in each group, all at once; 0 where a gain is constant."""
    groups = [gains[name] for name in by]
    ranks = gains.groupby(by)[["alignment", "transfer"]].rank()
    centred = ranks - ranks.groupby(groups).transform("mean")
    a = centred["alignment"]
    t = centred["transfer"]
    covariance, of_a, of_t = ((x * y).groupby(groups).sum() for x, y in ((a, t), (a, a), (t, t)))
    return (covariance / np.sqrt(of_a * of_t)).fillna(0)
