"""What the study of speed reads off its table: the cells, and the rank correlation of alignment and
steps.
"""

from collections.abc import Sequence

from scipy import stats

from jaxalign.statistics import Estimate, mean_interval, spearman
from jaxalign.studies.framework.study import Cell, Row, Value, column, distinct

TRUE, PERMUTED = "true", "permuted"
NO_NETWORK = -1
"""The network of the inputs' rows."""


def cells_of(rows: Sequence[Row]) -> list[Cell]:
    """The cells of a table, in their order."""
    return [
        {"problem": problem, "architecture": architecture}
        for problem, architecture in distinct(rows, "problem", "architecture")
    ]


def association(
    rows: Sequence[Row],
    alignment: str = "area",
    steps: str = "steps",
    *,
    other: Sequence[Row] | None = None,
    resamples: int = 2000,
) -> Estimate | None:
    """ρ of an alignment and steps, with an interval from drawing whole networks; None where one of
    the two is constant.

    Args:
      rows: of representations, whose steps count.
      alignment: the column that says how aligned they are.
      steps: the column of steps.
      other: take the alignment from these rows, of the same representations with other labels.
      resamples: bootstrap samples.
    """
    x, y = column(rows if other is None else other, alignment), column(rows, steps)
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return spearman(x, y, clusters=[_cluster(row) for row in rows], resamples=resamples)


def within_networks(
    rows: Sequence[Row], *, other: Sequence[Row] | None = None, confidence: float = 0.95
) -> Estimate:
    """The mean over the networks of a cell of each one's own ρ of area and steps, with Student's
    interval, cut to [−1, 1].

    Few networks make a bootstrap over them too narrow. A network whose areas or steps are all the
    same has shown nothing, and counts as ρ = 0; the inputs belong to none.

    Args:
      rows: of one cell.
      other: take the area from these rows, of the same representations with other labels.
      confidence: of the interval.
    """
    areas, steps = column(rows if other is None else other, "area"), column(rows, "steps")
    of_network: dict[Value, list[tuple[float, float]]] = {}
    for row, pair in zip(rows, zip(areas, steps, strict=True), strict=True):
        if row["network"] != NO_NETWORK:
            of_network.setdefault(row["network"], []).append(pair)
    found = mean_interval(
        [_rho(*zip(*pairs, strict=True)) for pairs in of_network.values()], confidence=confidence
    )
    return found._replace(low=max(found.low, -1.0), high=min(found.high, 1.0))


def _rho(x: Sequence[float], y: Sequence[float]) -> float:
    return 0.0 if len(set(x)) < 2 or len(set(y)) < 2 else float(stats.spearmanr(x, y).statistic)


def _cluster(row: Row) -> tuple:
    """Inputs are one cluster a problem: each of its families holds the same ones."""
    inputs = row["network"] == NO_NETWORK
    return (row["problem"],) if inputs else (row["problem"], row["architecture"], row["network"])
