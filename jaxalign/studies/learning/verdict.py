"""The verdict on learning curves, and the notes on where they miss."""

from functools import partial

import numpy as np
from pandas import DataFrame, Series

from jaxalign.statistics import Interval, mean_interval
from jaxalign.studies.framework.verdict import Verdict, judged
from jaxalign.studies.learning.design import Config
from jaxalign.studies.shared.outside import SOURCES, left_out

SHARES = ((0.0, 0.5), (0.5, 0.8), (0.8, 1.01))
"""Of degrees of freedom per row, from heads that are well determined to ones that interpolate."""
CURVE = ["task", "representation", "ridge"]


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether curves are within the tolerance at every number of rows: all of them, and those of
    each representation and strength.

    Data sets are the units. A curve is as good as its worst point.
    """
    told = table.dropna(subset="miss")
    margins = config.tolerance - told.groupby(CURVE, sort=False)["miss"].agg(_size_of_worst)
    cells = margins.groupby(CURVE[1:], sort=False)
    effects = {_name(told, *cell): _interval(config, values) for cell, values in cells}
    of_tasks = margins.groupby("task", sort=False).mean()
    return Verdict(
        _interval(config, of_tasks)(confidence=0.95),
        f"{config.tolerance:g} − |predicted/measured − 1| of the error per row, at the number of "
        "rows where a curve misses most, mean of curves",
        "data sets",
        judged(effects),
        _notes(config, table, of_tasks),
    )


def _size_of_worst(misses: Series) -> float:
    return float(misses.abs().max())


def _interval(config: Config, margins: Series) -> Interval:
    """Of a mean over data sets; no margin is above the tolerance."""
    return partial(mean_interval, margins.to_numpy(), within=(-np.inf, config.tolerance))


def _name(told: DataFrame, representation: str, ridge: str) -> str:
    rows = told[(told["representation"] == representation) & (told["ridge"] == ridge)]
    worst = rows.loc[rows["miss"].abs().idxmax()]
    return (
        f"{representation} of {rows['task'].nunique()} data sets, ρ {ridge}, misses by "
        f"{worst['miss']:+.1%} at most, on {worst['task']} at n = {worst['n']}"
    )


def _notes(config: Config, table: DataFrame, margins: Series) -> list[str]:
    told = table.dropna(subset="miss")
    is_more = told["n"] > told["known"]
    by_task = [f"{task} {margin:+.3f}" for task, margin in margins.items()]
    by_freedom = []
    for low, high in SHARES:
        rows = told[(told["freedom"] >= low) & (told["freedom"] < high)]
        if len(rows) > 0:
            by_freedom.append(f"{low:g} to {min(high, 1):g} {_range(rows)}")
    at_known = told[told["n"] == told["known"]]
    known = table.groupby("known", sort=False)["task"].unique()
    outside = [source for source in SOURCES if source.name in config.tasks]
    return [
        f"The effect in each data set: {', '.join(by_task)}.",
        f"Within {config.tolerance:.0%}: {(told['miss'].abs() <= config.tolerance).mean():.0%} of "
        f"{len(told)} points; {len(table) - len(told)} more have no prediction, since N rows of "
        "rank N tell nothing of more rows at small strengths.",
        f"Misses by data set: {_ranges(told, 'task')}.",
        f"Misses by representation: {_ranges(told, 'representation')}.",
        f"Misses by strength: {_ranges(told, 'ridge')}.",
        f"Misses by degrees of freedom per row of the heads: {'; '.join(by_freedom)}.",
        f"With more rows than the N of the spectrum: {_range(told[is_more])}; "
        f"with N or less {_range(told[~is_more])}.",
        f"At n = N the prediction misses by {_range(at_known)}. Exact leave-one-out of the same "
        f"rows does by {_range(at_known, 'miss_of_left_out')}: what is missed are rows of uneven "
        "leverage, which no spectrum holds.",
        f"Predictions from single draws of N rows scatter by {told['scatter'].median():.1%} "
        f"(median), {told['scatter'].max():.1%} at most. Means over draws are known to "
        f"±{_half_width(told):.1%} (median); the worst point of a curve is the larger "
        "for it.",
        "Small data sets have a half or a quarter of all numbers of rows, and as many times more "
        f"draws: {_by_rows(known)}.",
        "Networks pretrained on ImageNet are asked about no features of tables, and not about its "
        "photos, on which they may have been trained.",
        *left_out(table["task"], outside),
    ]


def _by_rows(known: Series) -> str:
    return "; ".join(f"N = {rows} of {', '.join(tasks)}" for rows, tasks in known.items())


def _half_width(told: DataFrame) -> float:
    return float((told["high"] - told["low"]).median() / 2)


def _ranges(told: DataFrame, column: str) -> str:
    return "; ".join(f"{name} {_range(rows)}" for name, rows in told.groupby(column, sort=False))


def _range(rows: DataFrame, column: str = "miss") -> str:
    misses = rows[column]
    return f"{misses.min():+.1%} to {misses.max():+.1%} (mean size {misses.abs().mean():.1%})"
