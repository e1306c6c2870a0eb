"""The verdict on learning curves, and the notes on where they miss."""

from pandas import DataFrame

from jaxalign.statistics import median_interval
from jaxalign.studies.framework.study import Verdict, outcome
from jaxalign.studies.learning.design import Config

SHARES = ((0.0, 0.5), (0.5, 0.8), (0.8, 1.01))
"""Of degrees of freedom per row, from heads that are well determined to ones that interpolate."""


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether each curve, of a representation and a strength, is within the tolerance at every
    number of rows.
    """
    curves = table.groupby(["task", "representation", "ridge"], sort=False)
    failing = []
    for (task, representation, ridge), rows in curves:
        worst = rows.loc[rows["miss"].abs().idxmax()]
        if abs(worst["miss"]) > config.tolerance:
            failing.append(
                f"{representation} of {task}, ρ {ridge}: {worst['miss']:+.1%} "
                f"at n = {worst['n']}, with {worst['freedom']:.2f} degrees of freedom per row"
            )
    return Verdict(
        outcome(failing, curves.ngroups),
        median_interval(table["miss"].dropna().abs()),
        "|predicted/measured − 1| of the error per row, median of strengths, numbers of rows and "
        "representations",
        failing,
        curves.ngroups,
        _notes(config, table),
    )


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
        "intervals in the table are of the draws, not of other pools.",
    ]


def _range(rows: DataFrame, column: str = "miss") -> str:
    misses = rows[column]
    return f"{misses.min():+.1%} to {misses.max():+.1%} (mean size {misses.abs().mean():.1%})"
