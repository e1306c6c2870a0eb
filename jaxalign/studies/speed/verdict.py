"""The verdict on speed: rank correlations over all cells and in each, and the predictions."""

from functools import partial

from pandas import DataFrame

from jaxalign.statistics import Estimate, Interval
from jaxalign.studies.framework.verdict import Verdict, judged
from jaxalign.studies.shared.held_out import HELD_OUT, TRAINED_ON
from jaxalign.studies.speed.design import ALLOWED_ERROR, LEVEL, Config
from jaxalign.studies.speed.notes import notes
from jaxalign.studies.speed.table import (
    CELL,
    association,
    clusters,
    of_networks,
    of_splits,
    over_splits,
    within_networks,
)


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether more alignment goes with fewer steps, over all and in every cell, and on one Φ also
    with more accuracy on other rows; and whether every prediction was met.
    """
    effects = {
        **_within_networks(table),
        **_over_splits(config, table),
        "loss and bound as predicted, of ‖y‖²": partial(_exactly, _accuracy(table), len(table)),
    }
    true = of_networks(table)
    effect = association(true, resamples=config.resamples)
    if effect is None:
        # Nothing is known of ρ.
        effect = Estimate(0.0, -1.0, 1.0, len(set(clusters(true))))
    return Verdict(
        effect,
        f"Spearman's ρ of area and speed, −steps until {config.share:g} of what is in span is left",
        "networks and inputs",
        judged(effects, level=LEVEL),
        notes(config, table),
    )


def _within_networks(table: DataFrame) -> dict[str, Interval]:
    """ρ over the layers of each network, on the rows it was trained on and on others."""
    return {
        f"{architecture} on {problem}, rows {rows}": partial(within_networks, cell)
        for rows in (TRAINED_ON, HELD_OUT)
        for (problem, architecture), cell in of_networks(table, rows=rows).groupby(CELL, sort=False)
    }


def _over_splits(config: Config, table: DataFrame) -> dict[str, Interval]:
    """ρ over all even splits of ten classes, of representations of one kind."""
    outcomes = {"speed": "speed", "accuracy on held-out rows": "accuracy"}
    return {
        f"splits of {problem}, {state}: {name}": over_splits(rows, "area", column, config).interval
        for (problem, state), rows in of_splits(table).items()
        for name, column in outcomes.items()
    }


def _accuracy(table: DataFrame) -> float:
    """How far the predictions stay from the error allowed, below 0 if any was missed."""
    violations = table["violations"].sum()
    if violations > 0:
        return -float(violations)
    return ALLOWED_ERROR - float(table["error"].max())


def _exactly(value: float, n: int, *, confidence: float) -> Estimate:
    """What was counted in full has no uncertainty."""
    return Estimate(value, value, value, n)
