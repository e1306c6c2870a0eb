"""Where learning curves are predicted within the tolerance, and where they miss."""

from pandas import DataFrame, Series

from jaxalign.studies.learning.design import Config
from jaxalign.studies.shared.outside import SOURCES, left_out

SHARES = ((0.0, 0.5), (0.5, 0.8), (0.8, 1.01))
"""Of degrees of freedom per row, from heads that are well determined to ones that interpolate."""


def notes(config: Config, table: DataFrame) -> list[str]:
    """What else the table says."""
    told = table.dropna(subset="miss")
    known = table.groupby("known", sort=False)["task"].unique()
    outside = [source for source in SOURCES if source.name in config.tasks]
    return [
        *_within(config, told, len(table)),
        f"Misses by data set: {_ranges(told, 'task')}.",
        f"Misses by representation: {_ranges(told, 'representation')}.",
        f"Misses by strength: {_ranges(told, 'ridge')}.",
        f"Misses by degrees of freedom per row of the heads: {_by_freedom(told)}.",
        _at_known(told[told["n"] == told["known"]]),
        f"Predictions from single draws of N rows scatter by {told['scatter'].median():.1%} "
        f"(median), {told['scatter'].max():.1%} at most. Means over draws are known to "
        f"±{_half_width(told):.1%} (median); the worst point of a curve is the larger for it.",
        "Small data sets have a half or a quarter of all numbers of rows, and as many times more "
        f"draws: {_by_rows(known)}.",
        "Networks pretrained on ImageNet are asked about no features of tables, and not about its "
        "photos, on which they may have been trained.",
        *left_out(table["task"], outside),
    ]


def _within(config: Config, told: DataFrame, points: int) -> list[str]:
    """How many of the points are within the tolerance."""
    told = told.assign(
        within=told["miss"].abs() <= config.tolerance, more=told["n"] > told["known"]
    )
    shares = told.groupby(["ridge", "more"], sort=False)["within"].mean().unstack("more")
    by_ridge = "; ".join(
        f"ρ {ridge} {few:.0%} and {more:.0%}" for ridge, few, more in shares.itertuples()
    )
    return [
        f"Within {config.tolerance:.0%}: {told['within'].mean():.0%} of {len(told)} points; "
        f"{points - len(told)} more have no prediction, since N rows of rank N tell nothing of "
        "more rows at small strengths.",
        f"Within {config.tolerance:.0%} with N rows or less, and with more: {by_ridge}.",
    ]


def _by_freedom(told: DataFrame) -> str:
    parts = []
    for low, high in SHARES:
        rows = told[(told["freedom"] >= low) & (told["freedom"] < high)]
        if len(rows) > 0:
            parts.append(f"{low:g} to {min(high, 1):g} {_range(rows)}")
    return "; ".join(parts)


def _at_known(rows: DataFrame) -> str:
    return (
        f"At n = N the prediction misses by {_range(rows)}. Exact leave-one-out of the same rows "
        f"does by {_range(rows, 'miss_of_left_out')}: what is missed are rows of uneven leverage, "
        "which no spectrum holds."
    )


def _by_rows(known: Series) -> str:
    return "; ".join(f"N = {rows} of {', '.join(tasks)}" for rows, tasks in known.items())


def _half_width(told: DataFrame) -> float:
    return float((told["high"] - told["low"]).median() / 2)


def _ranges(told: DataFrame, column: str) -> str:
    return "; ".join(f"{name} {_range(rows)}" for name, rows in told.groupby(column, sort=False))


def _range(rows: DataFrame, column: str = "miss") -> str:
    misses = rows[column]
    return f"{misses.min():+.1%} to {misses.max():+.1%} (mean size {misses.abs().mean():.1%})"
