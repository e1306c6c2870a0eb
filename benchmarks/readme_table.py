"""The table of speeds and errors in README, from the results of throughput.py.

python benchmarks/readme_table.py
"""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- throughput -->\n", "<!-- end of throughput -->\n"
OTHERS = ("numpy svd", "jnp svd", "torch svd", "sklearn randomized (50)")


def row(result: dict[str, Any]) -> str:
    solvers = {name: held for name, held in result["solvers"].items() if "failure" not in held}
    ours = solvers["jaxalign"]

    def times_faster(other: str) -> str:
        return f"{ours['speedup'] / solvers[other]['speedup']:.1f} ×" if other in solvers else "–"

    milliseconds = 1e3 * min(ours["seconds"].values())
    error = lambda name: f"{solvers[name]['errors']['sigma_min']:.0e}" if name in solvers else "–"
    cells = [result["shape"], f"{milliseconds:,.3g}" if milliseconds < 100 else f"{milliseconds:,.0f}"]
    cells += [times_faster(other) for other in OTHERS]
    cells += [f"{ours['time_over_gemm']:.1f}", f"{error('jaxalign')} / {error('jnp svd')}"]
    return f"| {' | '.join(cells)} |"


def table(file: Path) -> str:
    held = json.loads(file.read_text(encoding="utf-8"))
    versions, device = held["environment"]["versions"], held["environment"]["device"]
    heading = ["n × d, or a batch", "ms", *(f"over {other}" for other in OTHERS), "over one GEMM ΦᵀΦ", "σ_min: ours / jnp svd"]
    lines = [f"| {' | '.join(heading)} |", "|---" * len(heading) + "|", *map(row, held["results"])]
    where = f"{device}, {held['environment']['host']}, jax {versions['jax']}, {held['date']}"
    image = file.with_suffix(".png").relative_to(README.parent)
    return "\n".join([*lines, "", f"*{where}; [all numbers]({file.relative_to(README.parent)}), [picture]({image}).*", ""])


def main() -> None:
    text = README.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    tables = "\n".join(map(table, sorted(RESULTS.glob("*-throughput.json"))))
    README.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
