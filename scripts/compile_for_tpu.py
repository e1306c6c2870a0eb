"""Compile every public operation and chunks of ``fit`` with the compiler of a TPU, without a TPU.

    pip install --no-deps --target tpu libtpu
    python scripts/compile_for_tpu.py --libtpu tpu
    python scripts/compile_for_tpu.py --libtpu tpu --only "10000×512" "fit chunk"

The compiler comes with the package libtpu (about 200 MB to load); the target is one TPU v5e, for
sharded operations four of them. Each case is a process of its own, since the compiler may abort,
and the table says what it came to: the processor time of the compiler, the memory that the program
needs beside its arguments and results, and the products, decompositions and loops with float64
operands, which a TPU emulates.

Each result is written at once to benchmarks/results/tpu-v5e-compile.json, in the place of the last
result of that case. The exit status is 1 if a case fails that is not in ``REFUSED_BY_TPU``
(``_lowering_cases.py``), or misses its goal (``GOALS``). All cases take about an hour of one core;
``--short`` takes those of CI and writes nothing.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import distributions
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from _compile_cases import large_chunk_cases, large_matrix_cases
from _lowering_cases import DEVICES, REFUSED_BY_TPU, Case, array_cases
from _lowering_training import training_cases
from _stablehlo import needs_of
from jax.experimental import topologies
from jax.sharding import Mesh, SingleDeviceSharding

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "tpu-v5e-compile.json"
TOPOLOGY = "v5e:2x2"
# The compiler looks for a TPU and its metadata server, unless it is told what there is.
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "true",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
SHORT = ("spectrum[auto]", "moments of 300 columns, spectrum", "fit chunk MLP[quadrature]")


class Goal(NamedTuple):
    """Processor seconds to compile, and temporaries as a multiple of the arguments."""

    seconds: float
    temporaries: float


GOALS = {
    "spectrum[auto] 10000×512": Goal(20, 3),
    "spectrum[auto] 60000×784": Goal(60, 3),
    "moments 60000×784": Goal(20, 3),
}


@dataclass
class Compilation:
    """What one case came to; sizes in bytes, of one device.

    ``lowering`` and ``seconds`` are processor time, of tracing and lowering and of the compiler.
    ``peak`` is what the process that compiled it took.
    """

    case: str
    error: str | None = None
    lowering: float | None = None
    seconds: float | None = None
    arguments: int | None = None
    temporaries: int | None = None
    code: int | None = None
    peak: int | None = None
    float64: dict[str, int] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        if self.error is not None:
            return "fails (known)" if self.case in REFUSED_BY_TPU else "FAILS"
        if self.case in REFUSED_BY_TPU:
            return "ok now"
        return "MISSES ITS GOAL" if self.misses_goal() else "ok"

    def misses_goal(self) -> bool:
        if self.case not in GOALS:
            return False
        goal = GOALS[self.case]
        return self.seconds > goal.seconds or self.temporaries > goal.temporaries * self.arguments

    def row(self) -> str:
        """A line of the table."""
        start = f"{self.case:<44}{self.verdict:<16}"
        if self.seconds is None:
            return start + (self.error or "")[:200]
        counts = ", ".join(f"{count} {kind}" for kind, count in self.float64.items())
        sizes = "".join(f"{size / 2**20:9.1f}" for size in (self.arguments, self.temporaries))
        return f"{start}{self.seconds:8.1f}{sizes}  {counts}".rstrip()


HEADING = f"{'':<44}{'':<16}{'proc. s':>8}{'arg. MiB':>9}{'temp.':>9}  float64"


def all_cases(mesh: Mesh) -> Iterator[Case]:
    """What is built fastest comes first: a case's process builds those before it too."""
    matrices = chain(large_matrix_cases(), array_cases(mesh))
    return chain(matrices, training_cases(mesh), large_chunk_cases())


# One case, in a process of its own.


def compile_case(name: str) -> Compilation:
    """Trace, lower and compile one case, for the devices of a TPU that is not there."""
    jax.config.update("jax_enable_compilation_cache", False)
    devices = topologies.get_topology_desc(platform="tpu", topology_name=TOPOLOGY).devices
    mesh = Mesh(np.array(devices[:DEVICES]), ("data",))
    case = next(case for case in all_cases(mesh) if case.name == name)
    result = Compilation(name)
    arguments = jax.tree.map(placed_on(SingleDeviceSharding(devices[0])), case.arguments)
    begin = time.process_time()
    lowered = jax.jit(case.function).lower(*arguments)
    result.lowering = round(time.process_time() - begin, 2)
    result.float64 = needs_of(lowered.compiler_ir()).float64
    begin = time.process_time()
    compiled = lowered.compile()
    result.seconds = round(time.process_time() - begin, 2)
    memory = compiled.memory_analysis()
    result.arguments = memory.argument_size_in_bytes
    result.temporaries = memory.temp_size_in_bytes
    result.code = memory.generated_code_size_in_bytes
    result.peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return result


def placed_on(device: SingleDeviceSharding):
    """A function of a shape: the same shape on the device, unless it is already placed."""

    def placed(x):
        sharding = device if x.sharding is None else x.sharding
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    return placed


# All cases, one after another.


def run_case(name: str, library: Path, limit: float) -> Compilation:
    """Compile a case in a process of its own."""
    environment = os.environ | ENVIRONMENT | {"TPU_LIBRARY_PATH": str(library)}
    command = [sys.executable, __file__, "--case", name]
    try:
        process = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return Compilation(name, f"out of time: {limit:.0f} s")
    lines = process.stdout.splitlines()
    if process.returncode == 0 and lines:
        return Compilation(**json.loads(lines[-1]))
    return Compilation(name, last_error(process))


def last_error(process: subprocess.CompletedProcess) -> str:
    """The last line of a traceback, or how the process ended without one."""
    lines = [line for line in process.stderr.splitlines() if line and not line.startswith(" ")]
    errors = [line for line in lines if line.split(":")[0].endswith(("Error", "Exception"))]
    if errors:
        return errors[-1]
    return f"status {process.returncode}: {' '.join(lines[-1:])}"


def names_of(arguments: argparse.Namespace) -> list[str]:
    """The cases that were asked for."""
    if arguments.short:
        return list(SHORT)
    jax.config.update("jax_num_cpu_devices", DEVICES)
    names = [case.name for case in all_cases(Mesh(np.array(jax.devices()), ("data",)))]
    return [name for name in names if any(part in name for part in arguments.only)]


def save(row: Compilation, versions: dict[str, str]) -> None:
    """Write a result in the place of the last one of its case; those of other versions go."""
    content: dict[str, Any] = {"target": TOPOLOGY} | versions
    cases: dict[str, Any] = {}
    if RESULTS.exists():
        before = json.loads(RESULTS.read_text(encoding="utf-8"))
        if content.items() <= before.items():
            cases = before["cases"]
    cases[row.case] = asdict(row) | {"verdict": row.verdict}
    content["cases"] = cases
    RESULTS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def versions_of(folder: Path) -> dict[str, str]:
    """The versions that decide what is compiled, and by what."""
    libtpu = [d.version for d in distributions(path=[str(folder)]) if d.name == "libtpu"]
    return {"jax": jax.__version__, "libtpu": "".join(libtpu)}


def arguments_of_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--libtpu", type=Path, metavar="FOLDER", help="where pip put libtpu")
    parser.add_argument(
        "--only", nargs="+", metavar="SUBSTRING", default=[""], help="cases with one in their name"
    )
    parser.add_argument("--short", action="store_true", help="the cases of CI; writes nothing")
    parser.add_argument("--limit", type=float, default=600, help="seconds on the clock of a case")
    parser.add_argument("--case", help=argparse.SUPPRESS)  # how this program calls itself
    return parser.parse_args()


def main() -> int:
    arguments = arguments_of_command()
    if arguments.case is not None:
        print(json.dumps(asdict(compile_case(arguments.case))))
        return 0
    library = arguments.libtpu / "libtpu" / "libtpu.so"
    if not library.exists():
        sys.exit(f"{library} is missing; pip install --no-deps --target {arguments.libtpu} libtpu")
    jax.config.update("jax_platforms", "cpu")
    rows = []
    print(HEADING, flush=True)
    for name in names_of(arguments):
        row = run_case(name, library, arguments.limit)
        print(row.row(), flush=True)
        rows.append(row)
        if not arguments.short:
            save(row, versions_of(arguments.libtpu))
    print()
    for verdict, count in sorted(Counter(row.verdict for row in rows).items()):
        print(f"{count} {verdict}")
    return int(not rows or any(row.verdict.isupper() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
