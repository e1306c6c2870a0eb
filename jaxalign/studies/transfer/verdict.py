"""The verdict on transfer: the findings of all cells, corrected together, and their notes."""

from collections.abc import Mapping, Sequence

from pandas import DataFrame

from jaxalign.statistics import holm
from jaxalign.studies.framework.study import Verdict, outcome
from jaxalign.studies.transfer.design import Config
from jaxalign.studies.transfer.findings import Finding, findings_of, rank_correlation, signs
from jaxalign.studies.transfer.gains import MEASURES, gains


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether gains go together and have both signs, in every problem, by either measure of
    transfer and over either reference.
    """
    findings = findings_of(table, config.resamples)
    corrected = holm([finding.p for finding in findings])
    learned = table.groupby("problem", sort=False)["source_accuracy"].min().to_dict()
    failing = []
    for finding, p in zip(findings, corrected, strict=True):
        reasons = finding.reasons(p)
        accuracy = learned[finding.problem]
        if accuracy < config.learned:
            reasons.insert(0, f"the source was not learned, a network has {accuracy:.1%} of it")
        if reasons:
            failing.append(f"{finding.name}: {'; '.join(reasons)}")
    weakest = min(findings, key=lambda finding: finding.correlation.value)
    return Verdict(
        outcome(failing, len(findings)),
        weakest.correlation,
        f"Spearman's ρ of alignment gain and transfer gain, where it is lowest ({weakest.name})",
        failing,
        len(findings),
        _notes(findings, learned, table),
    )


def _notes(
    findings: Sequence[Finding], learned: Mapping[str, float], table: DataFrame
) -> list[str]:
    return [
        f"Every network has at least {min(learned.values()):.1%} of its source task.",
        *(
            _of_measure(measure, [finding for finding in findings if finding.measure == measure])
            for measure in MEASURES
        ),
        _of_layers(findings, table),
        "How fast a least-squares head trains is a function of the spectrum: for speed, part of ρ "
        "is arithmetic; for accuracy on other points it is not.",
    ]


def _of_measure(measure: str, findings: Sequence[Finding]) -> str:
    share = signs([finding.gains for finding in findings])
    within = [finding.within.value for finding in findings]
    above = sum(finding.within.low > 0 for finding in findings)
    return (
        f"By {measure}, signs agree in {share.agree:.0%} of pairs ({share.by_chance:.0%} by "
        f"chance): both positive {share.both:.0%}, both negative {share.neither:.0%}, alignment "
        f"alone {share.alignment:.0%}, transfer alone {share.transfer:.0%}. Within a level of the "
        f"dial ρ is {min(within):.2f} to {max(within):.2f}, its interval above 0 in {above} of "
        f"{len(findings)} cells."
    )


def _of_layers(findings: Sequence[Finding], table: DataFrame) -> str:
    ranges = []
    for layer in table["layer"].unique():
        rho = [
            rank_correlation(
                gains(table, finding.problem, layer, finding.reference, finding.measure)
            )
            for finding in findings
        ]
        ranges.append(f"{layer} {min(rho):.2f} to {max(rho):.2f}")
    return f"ρ over the cells by layer: {', '.join(ranges)}."
