"""The verdict on learning curves, and the notes on where they miss."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pandas import DataFrame

from jaxalign.statistics import Estimate, Interval, at_confidence, least, margin, mean_interval
from jaxalign.studies.framework.verdict import Verdict, judged
from jaxalign.studies.learning.design import Config

SHARES = ((0.0, 0.5), (0.5, 0.8), (0.8, 1.01))
"""Of degrees of freedom per row, from heads that are well determined to ones that interpolate."""


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether each curve, of a representation and a strength, is within the tolerance at every
    number of rows.
    """
    told = table.dropna(subset="miss")
    curves = told.groupby(["task", "representation", "ridge"], sort=False)
    effects = {
        f"{representation} of {task}, ρ {ridge}, {_of_worst(rows)}": partial(
            least, [_margin(config, row) for row in rows.to_dict("records")]
        )
        for (task, representation, ridge), rows in curves
    }
    worst = curves["miss"].agg(lambda miss: miss.abs().max())
    return Verdict(
        mean_interval(config.tolerance - worst.groupby("task").mean()),
        f"{config.tolerance:g} − |predicted/measured − 1| of the error per row, at the number of "
        "rows where a curve misses most, mean of curves",
        "data sets",
        judged(effects),
        _notes(config, table),
    )


def _of_worst(rows: DataFrame) -> str:
    worst = rows.loc[rows["miss"].abs().idxmax()]
    return f"misses by {worst['miss']:+.1%} at n = {worst['n']}"


def _margin(config: Config, row: Mapping[str, Any]) -> Interval:
    """How far one point stays from the tolerance, over draws of rows."""
    miss = Estimate(row["miss"], row["low"], row["high"], config.draws)
    return partial(margin, partial(at_confidence, miss, freedom=config.draws - 1), config.tolerance)


def _notes(config: Config, table: DataFrame) -> list[str]:
    told = table.dropna(subset="miss")
    is_more = told["n"] > config.known
    by_ridge = [f"ρ {ridge} {_range(rows)}" for ridge, rows in told.groupby("ridge", sort=False)]
    by_representation = [
        f"{name} {_range(rows)}" for name, rows in told.groupby("representation", sort=False)
    ]
    by_freedom = []
    for low, high in SHARES:
        rows = told[(told["freedom"] >= low) & (told["freedom"] < high)]
        if len(rows) > 0:
            by_freedom.append(f"{low:g} to {min(high, 1):g} {_range(rows)}")
    at_known = told[told["n"] == config.known]
    return [
        f"Within {config.tolerance:.0%}: {(told['miss'].abs() <= config.tolerance).mean():.0%} of "
        f"{len(told)} points; {len(table) - len(told)} more have no prediction, since N rows of "
        "rank N tell nothing of more rows at small strengths.",
        f"Misses by representation: {'; '.join(by_representation)}.",
        f"Misses by strength: {'; '.join(by_ridge)}.",
        f"Misses by degrees of freedom per row of the heads: {'; '.join(by_freedom)}.",
        f"With more rows than the N = {config.known} of the spectrum: {_range(told[is_more])}; "
        f"with N or less {_range(told[~is_more])}.",
        f"At n = N the prediction misses by {_range(at_known)}. Exact leave-one-out of the same "
        f"rows does by {_range(at_known, 'miss_of_left_out')}: what is missed are rows of uneven "
        "leverage, which no spectrum holds.",
        f"Predictions from single draws of N rows scatter by {told['scatter'].median():.1%} "
        f"(median), {told['scatter'].max():.1%} at most.",
        f"Means are over {config.draws} draws from one pool of {config.pool} rows, which overlap: "
        "intervals of cells are over the draws, not over other pools.",
    ]


def _range(rows: DataFrame, column: str = "miss") -> str:
    misses = rows[column]
    return f"{misses.min():+.1%} to {misses.max():+.1%} (mean size {misses.abs().mean():.1%})"
