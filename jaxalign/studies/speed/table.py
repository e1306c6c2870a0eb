"""What the table of speed says: the cells, and the rank correlation of alignment and steps."""

from collections.abc import Hashable
from typing import Any

from pandas import DataFrame

from jaxalign.statistics import Estimate, mean_interval, spearman
from jaxalign.studies.shared.held_out import TRAINED_ON
from jaxalign.studies.shared.ranks import rank_correlation
from jaxalign.studies.speed.design import LABELINGS, Config
from jaxalign.studies.speed.labelings import SPLITS, Relabelled, by_relabelling

TRUE = "true"
PERMUTED = "permuted"
UNTRAINED = "untrained"
TRAINED = "trained"
ON_SPLIT = "trained on one split"
ON_CLASSES = "trained on ten classes"
NO_NETWORK = -1
"""The network in the rows of inputs."""
CELL = ["problem", "architecture"]


def association(
    table: DataFrame,
    alignment: str = "area",
    steps: str = "steps",
    *,
    other: DataFrame | None = None,
    resamples: int = 2000,
) -> Estimate | None:
    """ρ of an alignment and speed, −steps, with an interval from drawing whole networks.

    Args:
      table: rows of representations, whose steps count.
      alignment: the column that says how aligned they are.
      steps: the column of steps.
      other: take the alignment from these rows, of the same representations with other labels.
      resamples: bootstrap samples.

    Returns:
      The estimate; None if one of the two columns is constant.
    """
    x = (table if other is None else other)[alignment]
    y = -table[steps]
    if x.nunique() < 2 or y.nunique() < 2:
        return None
    return spearman(x, y, clusters=clusters(table), resamples=resamples)


def within_networks(
    cell: DataFrame, *, other: DataFrame | None = None, confidence: float = 0.95
) -> Estimate:
    """The mean over the networks of a cell of each one's own ρ of area and speed, −steps.

    The interval is Student's: a bootstrap over few networks is too narrow. A network whose areas or
    steps are all the same has shown nothing, and counts as ρ = 0; the inputs belong to no network.

    Args:
      cell: rows of one cell.
      other: take the area from these rows, of the same representations with other labels.
      confidence: of the interval.
    """
    areas = (cell if other is None else other)["area"].to_numpy()
    # Rows of both are in one order.
    pairs = cell.assign(area=areas)
    pairs = pairs[pairs["network"] != NO_NETWORK]
    rho = [
        rank_correlation(network["area"], -network["steps"])
        for _, network in pairs.groupby("network", sort=False)
    ]
    return mean_interval(rho, confidence=confidence, within=(-1, 1))


def of_networks(table: DataFrame, *, labels: str = TRUE, rows: str = TRAINED_ON) -> DataFrame:
    """The rows of heads on the layers of networks, of these labels and of this kind of rows."""
    chosen = (table["labels"] == labels) & (table["rows"] == rows)
    return table[chosen & (table["architecture"] != LABELINGS)]


def of_splits(table: DataFrame) -> dict[tuple[str, str], DataFrame]:
    """(data, state of the network) → the rows of heads on all even splits of ten classes.

    They have a column more, "speed": fewer steps are more of it.
    """
    splits = table[table["architecture"] == LABELINGS].assign(speed=-table["steps"])
    return dict(list(splits.groupby(["problem", "state"], sort=False)))


def over_splits(rows: DataFrame, x: str, y: str, config: Config) -> Relabelled:
    """ρ of two columns over the splits of one kind of representation, mean over draws."""
    values = [rows.pivot(index="network", columns="labels", values=name) for name in (x, y)]
    return by_relabelling(*(one[list(SPLITS)] for one in values), draws=config.relabellings)


def in_words(rho: Estimate | None) -> str:
    """A rank correlation with its interval."""
    if rho is None:
        return "not defined"
    return f"{rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}]"


def clusters(table: DataFrame) -> list[Hashable]:
    """The cluster of each row: its network; the inputs of a problem are one cluster.

    Every architecture of a problem holds the same inputs.
    """

    def cluster(problem: str, architecture: str, network: int) -> tuple[Any, ...]:
        if network == NO_NETWORK:
            return (problem,)
        return (problem, architecture, network)

    return [cluster(*row) for row in table[[*CELL, "network"]].itertuples(index=False)]
