"""The verdict on transfer: the findings of all cells, corrected together, and their notes."""

from collections.abc import Sequence

from pandas import DataFrame

from jaxalign.studies.framework.verdict import Verdict, judged
from jaxalign.studies.transfer.design import Config
from jaxalign.studies.transfer.findings import Finding, correlation, findings_of, signs
from jaxalign.studies.transfer.gains import MEASURES, gains

CONFIDENCE = 0.95


def verdict(config: Config, table: DataFrame) -> Verdict:
    """Whether gains go together and have both signs, in every problem, by either measure of
    transfer and over either reference.
    """
    accuracy = table.groupby("problem", sort=False)["source_accuracy"].min()
    learned = accuracy[accuracy >= config.learned].index
    if learned.empty:
        raise ValueError(
            f"no source was learned: on every problem a network has less than {config.learned:.0%} "
            "of it; take more steps"
        )
    findings = findings_of(table[table["problem"].isin(learned)])
    effects = {name: effect for one in findings for name, effect in one.claims().items()}
    weakest = min(findings, key=lambda one: one.correlation(confidence=CONFIDENCE).value)
    return Verdict(
        weakest.correlation(confidence=CONFIDENCE),
        "Spearman's ρ of alignment gain and transfer gain within a network, where it is lowest "
        f"({weakest.name})",
        "networks",
        judged(effects, level=1 - CONFIDENCE),
        [
            f"Every network of these problems has at least {accuracy[learned].min():.1%} of its "
            "source task.",
            *(
                f"{problem}: the source was not learned, a network has {share:.1%} of it; left out"
                for problem, share in accuracy.items()
                if problem not in learned
            ),
            *_notes(findings, table),
        ],
    )


def _notes(findings: Sequence[Finding], table: DataFrame) -> list[str]:
    return [
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
    within = [finding.within(confidence=CONFIDENCE) for finding in findings]
    values = [rho.value for rho in within]
    above = sum(rho.low > 0 for rho in within)
    return (
        f"By {measure}, signs agree in {share.agree:.0%} of pairs ({share.by_chance:.0%} by "
        f"chance): both positive {share.both:.0%}, both negative {share.neither:.0%}, alignment "
        f"alone {share.alignment:.0%}, transfer alone {share.transfer:.0%}. Within a level of the "
        f"dial ρ is {min(values):.2f} to {max(values):.2f}, its interval above 0 in {above} of "
        f"{len(findings)} cases."
    )


def _of_layers(findings: Sequence[Finding], table: DataFrame) -> str:
    ranges = []
    for layer in table["layer"].unique():
        rho = [
            correlation(gains(table, finding.problem, layer, finding.reference, finding.measure))(
                confidence=CONFIDENCE
            ).value
            for finding in findings
        ]
        ranges.append(f"{layer} {min(rho):.2f} to {max(rho):.2f}")
    return f"ρ by layer: {', '.join(ranges)}."
