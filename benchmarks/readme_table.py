"""Write the tables of README and of the guide to accuracy from committed results.

    python benchmarks/readme_table.py

README has the verdicts of `jaxalign study`, the guide the speeds and errors of throughput.py.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxalign.studies.framework.results import FIGURE, Finished, read_results

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
STUDIES = ROOT / "studies"
README = ROOT / "README.md"
ACCURACY = ROOT / "docs" / "guides" / "accuracy.md"
OTHERS = ("numpy svd", "jnp svd", "torch svd", "sklearn randomized (50)")


def throughput(file: Path) -> str:
    content = json.loads(file.read_text(encoding="utf-8"))
    environment = content["environment"]
    heading = [
        "n × d, or a batch",
        "ms",
        *(f"over {other}" for other in OTHERS),
        "over one GEMM ΦᵀΦ",
        "σ_min: ours / jnp svd",
    ]
    where = (
        f"{environment['device']}, {environment['host']}, "
        f"jax {environment['versions']['jax']}, {content['date']}"
    )
    numbers = f"../../{file.relative_to(ROOT)}"
    picture = f"../../{file.with_suffix('.png').relative_to(ROOT)}"
    note = f"*{where}; [all numbers]({numbers}), [picture]({picture}).*"
    return f"{table(heading, map(throughput_row, content['results']))}\n{note}\n"


def throughput_row(result: dict[str, Any]) -> list[str]:
    solvers = {name: row for name, row in result["solvers"].items() if "failure" not in row}
    ours = solvers["jaxalign"]

    def times_faster(other: str) -> str:
        if other not in solvers:
            return "–"
        return f"{ours['speedup'] / solvers[other]['speedup']:.1f} ×"

    def error(name: str) -> str:
        if name not in solvers:
            return "–"
        return f"{solvers[name]['errors']['sigma_min']:.0e}"

    milliseconds = 1e3 * min(ours["seconds"].values())
    return [
        result["shape"],
        f"{milliseconds:,.3g}" if milliseconds < 100 else f"{milliseconds:,.0f}",
        *(times_faster(other) for other in OTHERS),
        f"{ours['time_over_gemm']:.1f}",
        f"{error('jaxalign')} / {error('jnp svd')}",
    ]


def claims(results: dict[str, Finished]) -> str:
    heading = ["study", "claim", "comparison", "verdict", "effect [interval]", "cells"]
    rows = (
        [f"[{name}](studies/{name}/{FIGURE})", *claims_row(result)]
        for name, result in results.items()
    )
    return f"{table(heading, rows)}\n*{measured_on(results)}.*\n"


def measured_on(results: dict[str, Finished]) -> str:
    """Sizes, devices and dates: once if they are the same for all, else by study."""
    names_of: dict[str, list[str]] = {}
    for name, result in results.items():
        where = result.environment
        setting = (
            f"size {result.size}, {where['device']}, {where['host']}, "
            f"jax {where['versions']['jax']}, {result.date}"
        )
        names_of.setdefault(setting, []).append(name)
    if len(names_of) == 1:
        return next(iter(names_of))
    return ". ".join(f"{', '.join(names)}: {setting}" for setting, names in names_of.items())


def claims_row(result: Finished) -> list[str]:
    verdict = result.verdict
    counts = ", ".join(f"{count} {name}" for name, count in verdict.counts().items())
    return [
        f"{result.claim} ({result.source})",
        result.comparison,
        f"**{verdict.outcome}**",
        f"{verdict.of}: {verdict.estimate()}",
        counts,
    ]


def table(heading: list[str], rows: Iterable[list[str]]) -> str:
    lines = (f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |\n" for row in rows)
    return f"| {' | '.join(heading)} |\n{'|---' * len(heading)}|\n{''.join(lines)}"


def between_marks(text: str, name: str, tables: Iterable[str]) -> str:
    """The text with new tables between its marks of this name."""
    begin = f"<!-- {name} -->\n"
    end = f"<!-- end of {name} -->\n"
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return before + begin + "\n" + "".join(each + "\n" for each in tables) + end + after


def readme(text: str, studies: Path = STUDIES) -> str:
    """README with its table made from committed results."""
    finished = read_results(studies)
    return between_marks(text, "claims", [claims(finished)] if finished else [])


def accuracy(text: str, results: Path = RESULTS) -> str:
    """The guide to accuracy with its tables made from committed results."""
    files = sorted(results.glob("*-throughput.json"))
    return between_marks(text, "throughput", map(throughput, files))


def main() -> None:
    for file, with_tables in ((README, readme), (ACCURACY, accuracy)):
        file.write_text(with_tables(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
