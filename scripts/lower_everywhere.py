"""Lower every public operation for CUDA, ROCm and TPU, on a machine that has none of them.

    python scripts/lower_everywhere.py
    python scripts/lower_everywhere.py --platforms tpu --only quadrature --json lowering.json

``jax.export`` lowers a program for a platform without a device of it. For each case and platform
the table says whether that works, and whether the program contains a custom call that only a CPU
has, or a callback to the host. A TPU has no float64 units: for it the table counts the products,
decompositions and loops with float64 operands, which are slow there but no failure. The exit
status is 1 if a case fails that is not in ``REFUSED_BY_TPU`` (``_lowering_cases.py``).
"""

import argparse
import json
import sys
import time
import warnings
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path

import jax
import numpy as np
from _lowering_cases import DEVICES, REFUSED_BY_TPU, Case, array_cases
from _lowering_training import training_cases
from _stablehlo import CPU_CALLS, is_callback, needs_of
from jax.export import export
from jax.extend.mlir import ir
from jax.interpreters import mlir
from jax.sharding import Mesh

PLATFORMS = ("cuda", "rocm", "tpu")


@dataclass
class Lowering:
    """What one case came to on one platform."""

    case: str
    platform: str
    error: str | None = None
    cpu_calls: list[str] = field(default_factory=list)
    callbacks: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    float64: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def problem(self) -> str | None:
        """Why this is a failure, in one line; None if it is not."""
        if self.error is not None:
            return self.error
        if self.cpu_calls:
            return f"custom calls of a CPU: {', '.join(self.cpu_calls)}"
        if self.callbacks:
            return f"callbacks to the host: {', '.join(self.callbacks)}"
        return None

    @property
    def expected(self) -> bool:
        return self.platform == "tpu" and self.case in REFUSED_BY_TPU

    @property
    def verdict(self) -> str:
        if self.expected and self.problem is None:
            return "ok now"
        if self.expected:
            return "fails (known)"
        if self.problem is not None:
            return "FAILS"
        return "ok"


def lowered(case: Case, program: jax.stages.Wrapped, platform: str) -> Lowering:
    """One case on one platform; an exception becomes the error of its row."""
    row = Lowering(case.name, platform)
    begin = time.perf_counter()
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        try:
            text = export(program, platforms=(platform,))(*case.arguments).mlir_module()
        except Exception as error:  # any error is a result here
            row.error = f"{type(error).__name__}: {first_line(error)}"
        else:
            inspect(text, row)
    row.warnings = sorted({first_line(message.message) for message in messages})
    row.seconds = round(time.perf_counter() - begin, 2)
    return row


def first_line(error: Exception) -> str:
    """The first line of a message, with the next one if it is only a heading."""
    lines = [line.strip() for line in str(error).splitlines()]
    if len(lines) > 1 and lines[0].endswith(":"):
        lines[0] += f" {lines[1]}"
    return "".join(lines[:1])


def inspect(text: str, row: Lowering) -> None:
    """Enter into the row what the operations of a StableHLO module need."""
    with mlir.make_ir_context():
        needs = needs_of(ir.Module.parse(text))
    row.cpu_calls = [target for target in needs.calls if target.startswith(CPU_CALLS)]
    row.callbacks = [target for target in needs.calls if is_callback(target)]
    if row.platform == "tpu":
        row.float64 = needs.float64


def print_row(name: str, rows: list[Lowering]) -> None:
    cells = "".join(f"{row.verdict:<15}" for row in rows)
    counts = ", ".join(f"{count} {kind}" for row in rows for kind, count in row.float64.items())
    print(f"{name:<40}{cells}{counts}".rstrip(), flush=True)


def print_summary(rows: list[Lowering]) -> None:
    """The unexpected failures with their messages, then a count by platform."""
    for row in rows:
        if row.verdict == "FAILS":
            print(f"\n{row.case}, {row.platform}:\n  {row.problem}")
        if row.verdict == "ok now":
            print(f"\n{row.case}, {row.platform}: no longer fails, remove it from REFUSED_BY_TPU")
    counts = Counter((row.platform, row.verdict) for row in rows)
    print()
    for (platform, verdict), count in sorted(counts.items()):
        print(f"{platform}: {count} {verdict}")


def arguments_of_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--platforms", nargs="+", choices=PLATFORMS, default=list(PLATFORMS))
    parser.add_argument(
        "--only", metavar="SUBSTRING", default="", help="cases with this in their name"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the rows")
    return parser.parse_args()


def main() -> int:
    arguments = arguments_of_command()
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", DEVICES)
    rows: list[Lowering] = []
    print(f"{'':<40}" + "".join(f"{platform:<15}" for platform in arguments.platforms))
    mesh = Mesh(np.array(jax.devices()), ("data",))
    for case in chain(array_cases(mesh), training_cases(mesh)):
        if arguments.only in case.name:
            program = jax.jit(case.function)  # one for all platforms, so that it is traced once
            of_case = [lowered(case, program, platform) for platform in arguments.platforms]
            print_row(case.name, of_case)
            rows.extend(of_case)
    print_summary(rows)
    if arguments.json is not None:
        content = [asdict(row) | {"problem": row.problem, "expected": row.expected} for row in rows]
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if not rows:
        print(f"no case has {arguments.only!r} in its name", file=sys.stderr)
        return 1
    return int(any(row.verdict == "FAILS" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
