"""How long does it take to start: the imports, and the command line's help and version?

    python benchmarks/start_up.py [--rounds 9]

Every program is a process of its own, in turn, every second round backwards; times are medians over
the rounds, on the clock and of the processor, with the interpreter's own start in them. Ratios are
within a round, over `import jax`. Goals: `import jaxalign` at most 1.5, help and version under 1 s.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from _results import save
from rich.console import Console
from rich.table import Table

JAX = "import jax"
PROGRAMS = {
    "python": "pass",
    JAX: "import jax",
    "import jax, flax.nnx and optax": "import jax, flax.nnx, optax",
    "import jaxalign": "import jaxalign",
    "... and use prepare, spectrum": (
        "import jaxalign as ja; ja.prepare, ja.spectrum, ja.alignment_curve"
    ),
    "... and use tap, monitor, fit": "import jaxalign as ja; ja.tap, ja.monitor, ja.fit",
    "jaxalign --version": "from jaxalign.cli.main import main; main(['--version'])",
    # Help ends with SystemExit(0), which is what a shell sees, too.
    "jaxalign --help": "from jaxalign.cli.main import main; main(['--help'])",
    "jaxalign train --help": "from jaxalign.cli.main import main; main(['train', '--help'])",
}


def seconds_of(code: str) -> tuple[float, float]:
    """Of one process: on the clock, and of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
    clock = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return clock, processor


def measure(rounds: int) -> dict[str, np.ndarray]:
    """Seconds of every program, (rounds, 2)."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
    for code in PROGRAMS.values():
        seconds_of(code)  # compiles modules to bytecode and fills the disk's cache
    for i in range(rounds):
        for name in list(PROGRAMS)[:: 1 if i % 2 == 0 else -1]:
            times[name].append(seconds_of(PROGRAMS[name]))
    return {name: np.array(rows) for name, rows in times.items()}


def summarize(times: dict[str, np.ndarray]) -> list[dict[str, object]]:
    """Medians, and medians of the ratios within a round."""
    rows: list[dict[str, object]] = []
    for name, seconds in times.items():
        clock, processor = np.median(seconds, axis=0)
        ratio, processor_ratio = np.median(seconds / times[JAX], axis=0)
        rows.append(
            {
                "program": name,
                "seconds": round(float(clock), 3),
                "processor_seconds": round(float(processor), 3),
                "ratio": round(float(ratio), 3),
                "processor_ratio": round(float(processor_ratio), 3),
            }
        )
    return rows


def show(rows: Sequence[dict[str, object]], console: Console) -> None:
    """Print a table."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("program", no_wrap=True)
    for heading in ("seconds", "processor", f"over {JAX}", "processor"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    os.environ["JAX_PLATFORMS"] = "cpu"
    before = os.getloadavg()[0]
    rows = summarize(measure(rounds))
    show(rows, Console())
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "rounds": rounds,
        "load": {"before": round(before, 1), "processors": os.cpu_count()},
        "programs": rows,
    }
    file = save("start-up", content)
    print(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


if __name__ == "__main__":
    main()
