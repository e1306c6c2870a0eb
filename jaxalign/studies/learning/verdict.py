"""The verdict on learning curves, over data sets."""

from collections import Counter
from functools import partial

import numpy as np
from pandas import DataFrame, Series

from jaxalign.statistics import Interval, mean_interval
from jaxalign.studies.framework.verdict import Verdict, judged, outcome_of
from jaxalign.studies.learning.design import Config
from jaxalign.studies.learning.notes import notes

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
        [_by_task(config, of_tasks), *notes(config, table)],
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


def _by_task(config: Config, margins: Series) -> str:
    """The units, and what each of them does to the verdict."""
    effects = ", ".join(f"{task} {margin:+.3f}" for task, margin in margins.items())
    without = [_interval(config, margins.drop(task))(confidence=0.95) for task in margins.index]
    counts = Counter(map(outcome_of, without))
    outcomes = ", ".join(f"{count} times {outcome}" for outcome, count in counts.items())
    values = [one.value for one in without]
    return (
        f"The effect in each data set: {effects}. With one of them left out it is "
        f"{min(values):+.3f} to {max(values):+.3f}, {outcomes}."
    )
