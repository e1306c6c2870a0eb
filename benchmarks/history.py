"""Keep the speed of this version beside that of the versions before it.

    python benchmarks/history.py

The figures of throughput.py on every device go into history/VERSION.json, and history/README.md
has a table of all versions. Milliseconds of two days are hardly comparable; the time over that of
one product ΦᵀΦ, measured in the same rounds, is.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from readme_table import table

import jaxalign
from jaxalign.benchmark.solvers import OURS

ROOT = Path(__file__).parent
RESULTS = ROOT / "results"
HISTORY = ROOT / "history"

Figures = dict[str, dict[str, dict[str, float]]]
"""Device → shape → milliseconds, and the time over that of one GEMM."""


def figures(results: Path = RESULTS) -> Figures:
    """The committed results of throughput.py."""
    devices: Figures = {}
    for file in sorted(results.glob("*-throughput.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        rows = {result["shape"]: result["solvers"][OURS] for result in content["results"]}
        devices[content["environment"]["device"]] = {
            shape: {
                "milliseconds": round(1e3 * min(row["seconds"].values()), 3),
                "over_gemm": row["time_over_gemm"],
            }
            for shape, row in rows.items()
        }
    return devices


def record(version: str, history: Path = HISTORY, results: Path = RESULTS) -> None:
    """Write what there is now as that of a version, and the table of all versions."""
    history.mkdir(exist_ok=True)
    text = json.dumps(figures(results), indent=1, ensure_ascii=False) + "\n"
    (history / f"{version}.json").write_text(text, encoding="utf-8")
    versions = {
        file.stem: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(history.glob("*.json"), key=_order)
    }
    heading = ["device", "n × d, or a batch", *versions]
    rows = list(_rows(versions))
    (history / "README.md").write_text(
        "# The speed of each version\n\nMilliseconds of a spectrum (time over that of one product "
        f"ΦᵀΦ); made by `benchmarks/history.py`.\n\n{table(heading, rows)}",
        encoding="utf-8",
    )


def _rows(versions: dict[str, Figures]) -> Iterator[list[str]]:
    places = dict.fromkeys(
        (device, shape)
        for devices in versions.values()
        for device, shapes in devices.items()
        for shape in shapes
    )
    for device, shape in places:
        cells = (devices.get(device, {}).get(shape) for devices in versions.values())
        yield [device, shape, *map(_cell, cells)]


def _cell(measured: dict[str, Any] | None) -> str:
    if measured is None:
        return "–"
    milliseconds = measured["milliseconds"]
    shown = f"{milliseconds:.3g}" if milliseconds < 100 else f"{milliseconds:,.0f}"
    return f"{shown} ({measured['over_gemm']:.1f})"


def _order(file: Path) -> list[int]:
    """0.10.0 comes after 0.9.0."""
    return [int("".join(filter(str.isdigit, part)) or 0) for part in file.stem.split(".")]


if __name__ == "__main__":
    record(jaxalign.__version__)
