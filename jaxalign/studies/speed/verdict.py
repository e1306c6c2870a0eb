"""The verdict on speed: rank correlations over all cells and in each, and the predictions."""

from functools import partial

from pandas import DataFrame

from jaxalign.statistics import Estimate, Interval
from jaxalign.studies.framework.verdict import Verdict, judged
from jaxalign.studies.speed.design import ALLOWED_ERROR, LEVEL, THRESHOLDS, Config
from jaxalign.studies.speed.table import (
    CELL,
    PERMUTED,
    TRUE,
    association,
    clusters,
    in_words,
    within_networks,
)


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether more alignment goes with fewer steps, over all and in every cell, and every
    prediction was met.
    """
    true = table[table["labels"] == TRUE]
    effects: dict[str, Interval] = {
        f"{architecture} on {problem}": partial(within_networks, cell)
        for (problem, architecture), cell in true.groupby(CELL, sort=False)
    }
    predicted = "loss and bound as predicted, of ‖y‖²"
    effects[predicted] = partial(_exactly, _accuracy(table), len(table))
    effect = association(true, resamples=config.resamples)
    if effect is None:
        # Nothing is known of ρ.
        effect = Estimate(0.0, -1.0, 1.0, len(set(clusters(true))))
    return Verdict(
        effect,
        "Spearman's ρ of area and speed, −steps to half of ‖y‖²",
        "networks and inputs",
        judged(effects, level=LEVEL),
        _notes(config, table),
    )


def _accuracy(table: DataFrame) -> float:
    """How far the predictions stay from the error allowed, below 0 if any was missed."""
    violations = table["violations"].sum()
    if violations > 0:
        return -float(violations)
    return ALLOWED_ERROR - float(table["error"].max())


def _exactly(value: float, n: int, *, confidence: float) -> Estimate:
    """What was counted in full has no uncertainty."""
    return Estimate(value, value, value, n)


def _notes(config: Config, table: DataFrame) -> list[str]:
    true = table[table["labels"] == TRUE]
    permuted = table[table["labels"] == PERMUTED]
    scaled = true.assign(relative=true["area"] / true["largest"])

    def rho(*args, **options):
        return in_words(association(*args, **options, resamples=config.resamples))

    def share(rows, column="reached"):
        return f"{rows[column].mean():.0%}"

    checks = len(table) * 2 * (config.horizon + 1) * THRESHOLDS
    return [
        f"Loss predicted and loss of real descent differ by {table['error'].max():.1e} of ‖y‖² at "
        f"most (allowed: {ALLOWED_ERROR:g}); the bound was exceeded {table['violations'].sum()} "
        f"times in {checks:,} pairs of step and τ.",
        "The null, area with permuted labels against the same steps: "
        f"ρ = {rho(true, other=permuted)}.",
        "With one step size 1/n for all in place of 1/σ_1²: "
        f"ρ = {rho(true, steps='steps_common')}.",
        f"With A(τ) at τ = {config.threshold:g}√n in place of the area: "
        f"ρ = {rho(true, 'alignment')}; with area over σ_1‖y‖², in the scale of the step size: "
        f"{rho(scaled, 'relative')}.",
        f"To {config.far:g}‖y‖², which {share(true, 'reached_far')} reach: "
        f"ρ = {rho(true, steps='steps_far')}.",
        f"{share(true)} of descents reach {config.share:g}‖y‖² within {config.horizon} steps with "
        f"the true labels, {share(permuted)} with permuted ones; the others share the last rank.",
        _of_bound(config, true),
    ]


def _of_bound(config: Config, true: DataFrame) -> str:
    promised = true[true["reached"] & (true["promised"] <= config.horizon)]
    # The median of no rows is NaN.
    ratio = (promised["promised"] / promised["steps"]).median()
    return (
        "The bound, which knows A(τ) and σ_1 alone, promises it within the horizon to "
        f"{len(promised)} of the {true['reached'].sum()} that reach it, at {ratio:.3g} times the "
        "steps it takes (median)."
    )
