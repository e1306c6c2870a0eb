"""The verdict on transfer: the findings of all cells, corrected together, and their notes."""

from collections.abc import Callable, Sequence

from pandas import DataFrame

from jaxalign.statistics import Interval, least
from jaxalign.studies.framework.verdict import Verdict, in_words, judged
from jaxalign.studies.shared.outside import CIFAR10, left_out
from jaxalign.studies.transfer.design import NATURAL, Config, learned
from jaxalign.studies.transfer.findings import (
    Finding,
    agreement,
    correlation,
    correlation_at_targets,
    findings_of,
    transfer_at,
)
from jaxalign.studies.transfer.gains import NAMES, gains

CONFIDENCE = 0.95


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether gains go together and have both signs, in every problem and over every reference.

    The paper's claim is of a synthetic problem, so these decide.
    """
    longest = table[table["steps"] == table["steps"].max()]
    accuracy = longest.groupby("problem", sort=False)["source_accuracy"].min().to_dict()
    kept = [name for name, share in accuracy.items() if share >= learned(config, name)]
    findings = findings_of(table[table["problem"].isin(kept)])
    over_scratch = [finding for finding in findings if finding.reference == "scratch"]
    deciding = {
        finding.problem: correlation(finding.gains)
        for finding in over_scratch
        if finding.problem != NATURAL
    }
    if not deciding:
        raise ValueError(
            "no synthetic source was learned: on every one a network has less than "
            f"{config.learned:.0%} of it; take more steps"
        )
    weakest = min(deciding, key=lambda problem: deciding[problem](confidence=CONFIDENCE).value)
    effects = {name: effect for one in findings for name, effect in one.claims().items()}
    for one in over_scratch:
        effects[f"{one.problem}: ρ at one target"] = correlation_at_targets(one.gains)
    return Verdict(
        least(list(deciding.values()), confidence=CONFIDENCE),
        "Spearman's ρ of alignment gain and accuracy over training from scratch, within a network, "
        f"in the synthetic problem where it is lowest ({weakest})",
        "networks",
        judged(effects, level=1 - CONFIDENCE),
        [
            *(_of_source(name, share, kept=name in kept) for name, share in accuracy.items()),
            _of_targets(over_scratch),
            _of_signs(over_scratch),
            _of_speed(table, kept),
            *(_of_pairs(one) for one in over_scratch if one.problem == NATURAL),
            *_without_data(config, table),
        ],
    )


def _of_source(problem: str, share: float, *, kept: bool) -> str:
    if kept:
        return f"{problem}: every network has at least {share:.1%} of its source task."
    return f"{problem}: the source was not learned, a network has {share:.1%} of it; left out."


def _of_targets(findings: Sequence[Finding]) -> str:
    each = [
        f"{one.problem} {in_words(correlation_at_targets(one.gains)(confidence=CONFIDENCE))}"
        for one in findings
    ]
    return (
        "At one target, where only how long a network learned the source differs, ρ of alignment "
        f"and accuracy is: {', '.join(each)}."
    )


def _of_signs(findings: Sequence[Finding]) -> str:
    each = []
    for one in findings:
        same, by_chance = agreement(one.gains)
        each.append(f"{one.problem} {same:.0%} ({by_chance:.0%})")
    return (
        "Both gains over training from scratch have the same sign in these shares of all cases "
        f"(by chance): {', '.join(each)}."
    )


def _of_pairs(finding: Finding) -> str:
    by_source = transfer_at(finding.gains, finding.gains["dial"].min(), by="source")
    each = [f"{source} {value:.3f}" for source, value in by_source.items()]
    return (
        f"{finding.problem}: networks share a few source pairs, and these differ; transfer at "
        f"dial 0 over training from scratch by source is: {', '.join(each)}."
    )


def _of_speed(table: DataFrame, problems: Sequence[str]) -> str:
    by_loss = [
        gains(table, problem, reference, "loss")
        for problem in problems
        for reference in NAMES
        if reference != "scratch"
    ]
    return (
        "By the log-loss of a head while it learns, over the untrained network and the raw input, "
        f"ρ is {_range(correlation, by_loss)}, at one target "
        f"{_range(correlation_at_targets, by_loss)}. Part of it is arithmetic, since how fast a "
        "linear head learns is nearly a function of the spectrum; so it is no cell."
    )


def _range(effect: Callable[[DataFrame], Interval], each: Sequence[DataFrame]) -> str:
    values = [effect(one)(confidence=CONFIDENCE).value for one in each]
    return f"{min(values):.2f} to {max(values):.2f}"


def _without_data(config: Config, table: DataFrame) -> list[str]:
    if not config.natural_seeds:
        return []
    return left_out(table["problem"].unique(), [CIFAR10])
