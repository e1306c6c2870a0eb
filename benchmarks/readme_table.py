"""The tables in README, from committed results: speeds and errors of throughput.py, verdicts of
`jaxalign study`.

python benchmarks/readme_table.py
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxalign.studies.framework.results import FIGURE, Finished, read_results

ROOT = Path(__file__).parent.parent
RESULTS, STUDIES = ROOT / "benchmarks" / "results", ROOT / "studies"
README = ROOT / "README.md"
OTHERS = ("numpy svd", "jnp svd", "torch svd", "sklearn randomized (50)")


def throughput(file: Path) -> str:
    held = json.loads(file.read_text(encoding="utf-8"))
    versions, device = held["environment"]["versions"], held["environment"]["device"]
    heading = [
        "n × d, or a batch",
        "ms",
        *(f"over {other}" for other in OTHERS),
        "over one GEMM ΦᵀΦ",
        "σ_min: ours / jnp svd",
    ]
    where = f"{device}, {held['environment']['host']}, jax {versions['jax']}, {held['date']}"
    image = file.with_suffix(".png").relative_to(ROOT)
    note = f"*{where}; [all numbers]({file.relative_to(ROOT)}), [picture]({image}).*"
    return f"{table(heading, map(throughput_row, held['results']))}\n{note}\n"


def throughput_row(result: dict[str, Any]) -> list[str]:
    solvers = {name: held for name, held in result["solvers"].items() if "failure" not in held}
    ours = solvers["jaxalign"]

    def times_faster(other: str) -> str:
        return f"{ours['speedup'] / solvers[other]['speedup']:.1f} ×" if other in solvers else "–"

    milliseconds = 1e3 * min(ours["seconds"].values())

    def error(name):
        return f"{solvers[name]['errors']['sigma_min']:.0e}" if name in solvers else "–"

    cells = [
        result["shape"],
        f"{milliseconds:,.3g}" if milliseconds < 100 else f"{milliseconds:,.0f}",
    ]
    cells += [times_faster(other) for other in OTHERS]
    return [*cells, f"{ours['time_over_gemm']:.1f}", f"{error('jaxalign')} / {error('jnp svd')}"]


def claims(results: dict[str, Finished]) -> str:
    heading = ["study", "claim", "verdict", "effect [interval]", "fails in"]
    rows = (
        [f"[{name}](studies/{name}/{FIGURE})", *claims_row(found)]
        for name, found in results.items()
    )
    told = [
        (
            f"size {r.size}",
            r.environment["device"],
            r.environment["host"],
            f"jax {r.environment['versions']['jax']}",
            r.date,
        )
        for r in results.values()
    ]
    where = ", ".join(" and ".join(dict.fromkeys(column)) for column in zip(*told, strict=True))
    return f"{table(heading, rows)}\n*{where}.*\n"


def claims_row(found: Finished) -> list[str]:
    verdict = found.verdict
    effect = f"{verdict.of}: {verdict.estimate()}, n = {verdict.effect.n}"
    return [
        found.claim,
        f"**{verdict.outcome}**",
        effect,
        f"{len(verdict.failing)} of {verdict.cells} cells",
    ]


def table(heading: list[str], rows: Iterable[list[str]]) -> str:
    lines = (f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |\n" for row in rows)
    return f"| {' | '.join(heading)} |\n{'|---' * len(heading)}|\n{''.join(lines)}"


def between_marks(text: str, name: str, tables: Iterable[str]) -> str:
    """The text, what is between its marks of this name replaced."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, held = text.split(begin)
    _, after = held.split(end)
    return before + begin + "\n" + "".join(each + "\n" for each in tables) + end + after


def readme(text: str, results: Path = RESULTS, studies: Path = STUDIES) -> str:
    """README with its tables as committed results give them."""
    text = between_marks(
        text, "throughput", map(throughput, sorted(results.glob("*-throughput.json")))
    )
    held = read_results(studies)
    return between_marks(text, "claims", [claims(held)] if held else [])


def main() -> None:
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
