"""The verdict on speed: rank correlations over all cells and in each, and the predictions."""

from pandas import DataFrame

from jaxalign.statistics import Estimate
from jaxalign.studies.framework.study import Outcome, Verdict
from jaxalign.studies.speed.design import ALLOWED_ERROR, LEVEL, THRESHOLDS, Config
from jaxalign.studies.speed.table import (
    CELL,
    PERMUTED,
    TRUE,
    association,
    in_words,
    within_networks,
)


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Holds if ρ lies below 0, over all and in every cell, and no prediction was missed.

    The intervals of the cells hold at 95 % for all of them together.
    """
    true = table[table["labels"] == TRUE]
    cells = true.groupby(CELL, sort=False)
    # Bonferroni's correction of the confidence of one cell.
    confidence = 1 - LEVEL / len(cells)
    failing = []
    for (problem, architecture), cell in cells:
        rho = within_networks(cell, confidence=confidence)
        if rho.high >= 0:
            failing.append(
                f"{architecture} on {problem}: ρ = {in_words(rho)}; "
                f"{cell['reached'].sum()} of {len(cell)} descents get that far"
            )
    missed = table["error"].max() > ALLOWED_ERROR or table["violations"].sum() > 0
    effect = association(true, resamples=config.resamples)
    outcome: Outcome = "holds in part" if failing else "holds"
    if effect is None or effect.high >= 0 or missed or len(failing) == len(cells):
        outcome = "does not hold"
    if effect is None:
        # Nothing is known of ρ.
        effect = Estimate(0.0, -1.0, 1.0, len(true))
    of = "Spearman's ρ of area and steps"
    return Verdict(outcome, effect, of, failing, len(cells), _notes(config, table))


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
