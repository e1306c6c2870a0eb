"""What else a reader of the study of speed has to know."""

from pandas import DataFrame

from jaxalign.studies.shared.held_out import HELD_OUT
from jaxalign.studies.shared.outside import CIFAR10, left_out
from jaxalign.studies.speed.design import ALLOWED_ERROR, THRESHOLDS, Config
from jaxalign.studies.speed.table import (
    PERMUTED,
    association,
    in_words,
    of_networks,
    of_splits,
    over_splits,
)


def notes(config: Config, table: DataFrame) -> list[str]:
    """Predictions, nulls, other measures and step sizes, and what chance gives over splits."""
    missing = []
    if CIFAR10.name in config.ten_classes:
        missing = left_out(table["problem"], [CIFAR10])
    checks = len(table) * 2 * (config.horizon + 1) * THRESHOLDS
    return [
        f"Loss predicted and loss of real descent differ by {table['error'].max():.1e} of ‖y‖² at "
        f"most (allowed: {ALLOWED_ERROR:g}); the bound was exceeded {table['violations'].sum()} "
        f"times in {checks:,} pairs of step and τ.",
        *_of_networks(config, table),
        *_of_splits(config, table),
        *missing,
    ]


def _of_networks(config: Config, table: DataFrame) -> list[str]:
    true = of_networks(table)
    permuted = of_networks(table, labels=PERMUTED)
    scaled = true.assign(relative=true["area"] / true["largest"])

    def rho(*args, **options):
        return in_words(association(*args, **options, resamples=config.resamples))

    def share(rows, column="steps"):
        return f"{(rows[column] <= config.horizon).mean():.0%}"

    return [
        "The null, area with permuted labels against the same steps: "
        f"ρ = {rho(true, other=permuted)}.",
        "With heads on rows that no network was trained on: "
        f"ρ = {rho(of_networks(table, rows=HELD_OUT))}; with the area of those rows against the "
        f"steps on the rows trained on: {rho(true, 'area_elsewhere')}.",
        "With one step size 1/n for all in place of 1/σ_1²: "
        f"ρ = {rho(true, steps='steps_common')}.",
        f"With A(τ) at τ = {config.threshold:g}√n in place of the area: "
        f"ρ = {rho(true, 'alignment')}; with area over σ_1, in the scale of the step size: "
        f"{rho(scaled, 'relative')}.",
        f"Until {config.far:g} is left, which {share(true, 'steps_far')} reach: "
        f"ρ = {rho(true, steps='steps_far')}. Until the loss is {config.share:g}‖y‖², in span or "
        f"not, which {share(true, 'steps_of_total')} reach: "
        f"{rho(true, steps='steps_of_total')}.",
        f"{share(true)} of descents leave {config.share:g} within {config.horizon} steps with the "
        f"true labels, {share(permuted)} with permuted ones; the others share the last rank, and "
        f"those that need one step, {(true['steps'] == 1).mean():.0%}, the first.",
        _of_bound(config, true),
    ]


def _of_bound(config: Config, true: DataFrame) -> str:
    reached = true["steps"] <= config.horizon
    promised = true[reached & (true["promised"] <= config.horizon)]
    # The median of no rows is NaN.
    ratio = (promised["promised"] / promised["steps"]).median()
    return (
        "The bound, which knows A(τ) and σ_1 alone, promises it within the horizon to "
        f"{len(promised)} of the {reached.sum()} that reach it, at {ratio:.3g} times the "
        "steps it takes (median)."
    )


def _of_splits(config: Config, table: DataFrame) -> list[str]:
    """A sentence for each kind of representation, and what they have in common."""
    splits = of_splits(table)
    if not splits:
        return []
    return [
        "The splits share ten classes and are not independent of each other: their p-values and "
        f"intervals come from {config.relabellings:,} permutations of the classes. σ_i are the "
        "same for all splits of a representation. How fast a head learns follows from the "
        "spectrum; how accurate it is on other rows does not.",
        *(
            f"Splits of {problem}, {state}: {_of_one(config, rows)}"
            for (problem, state), rows in splits.items()
        ),
    ]


def _of_one(config: Config, rows: DataFrame) -> str:
    def rho(x, y):
        found = over_splits(rows, x, y, config)
        return f"{found.value:.2f} (p = {found.p:.1g})"

    return (
        f"area {rows['area'].min():.3f} to {rows['area'].max():.3f}; ρ of area and speed "
        f"{rho('area', 'speed')}, of area and accuracy {rho('area', 'accuracy')}, of A(τ) and "
        f"accuracy {rho('alignment', 'accuracy')}; of the area of held-out rows and speed "
        f"{rho('area_elsewhere', 'speed')}, and accuracy {rho('area_elsewhere', 'accuracy')}; "
        f"{(rows['steps'] <= config.horizon).mean():.0%} reach {config.share:g}."
    )
